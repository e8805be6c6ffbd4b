"""The conversation with a runner, by docs/wire.md: commands out, events in, all of it checked."""
