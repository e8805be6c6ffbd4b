"""The machine as the runner finds it: clock, environment, thermal zones, and the limits set for a child."""
