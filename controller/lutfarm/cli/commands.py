"""Which commands there are, and what the lists of them say.  Imports none of them.

Each command's first paragraph stands here a second time: together they take three seconds to import, most of it plots, columns
and transports that few of them need.
"""

from __future__ import annotations

from collections.abc import Mapping

from lutfarm.cli.groups import LazyCommand, LazyCommands

DEVICE = LazyCommands(
    {
        "register": LazyCommand("lutfarm.cli.device.register", "register", "Register a device, and see that it answers."),
        "discover": LazyCommand(
            "lutfarm.cli.device.register",
            "discover",
            "Devices that could be registered: phones that this host sees, and the hosts of a list.",
        ),
        "list": LazyCommand("lutfarm.cli.device.show", "list_", "All registered devices."),
        "show": LazyCommand(
            "lutfarm.cli.device.show",
            "show",
            "One device, what it last said of itself, and how its canary's reference came about.",
        ),
        "check": LazyCommand(
            "lutfarm.cli.device.health",
            "check",
            "Is a device fit to measure?  Exit 0 if it is, 3 if not.  A device that passes comes back from quarantine.",
        ),
        "hold": LazyCommand(
            "lutfarm.cli.device.health",
            "hold",
            "Take a device out of work for maintenance.  A job ends its present order there and leaves it until it is released.",
        ),
        "release": LazyCommand(
            "lutfarm.cli.device.health", "release", "Give a device in maintenance or quarantine back to work, unchecked."
        ),
        "retire": LazyCommand(
            "lutfarm.cli.device.health",
            "retire",
            "Take a device out for good; its results stay.  Only registering it again brings it back.",
        ),
        "label": LazyCommand(
            "lutfarm.cli.device.health",
            "label",
            "Change a device's labels.  A job chooses by them whenever it is read; one that is at work keeps the devices it has.",
        ),
        "remove": LazyCommand(
            "lutfarm.cli.device.health",
            "remove",
            "Forget a device.  What was measured there and its history stay; one that a job uses or waits for is refused.",
        ),
    },
    help="The devices of the farm.",
)
HOST = LazyCommands(
    {
        "join": LazyCommand(
            "lutfarm.cli.farm.host",
            "join",
            "Let a farm measure on the devices that hang on this machine, until Ctrl-C or SIGTERM.",
        ),
        "list": LazyCommand(
            "lutfarm.cli.farm.host", "list_", "The hosts of a served farm: whether they are there, and what hangs on them."
        ),
        "drain": LazyCommand(
            "lutfarm.cli.farm.host",
            "drain",
            "Take all devices of a host out of work for maintenance; each ends its present order.",
        ),
        "remove": LazyCommand(
            "lutfarm.cli.farm.host", "remove", "Forget a host that is lost and on which no device is registered."
        ),
    },
    help="The machines that a served farm's devices hang on.",
)
JOB = LazyCommands(
    {
        "list": LazyCommand("lutfarm.cli.job.jobs", "list_", "All jobs, newest first."),
        "show": LazyCommand("lutfarm.cli.job.jobs", "show", "One job: how many runs each measurement has."),
        "remove": LazyCommand(
            "lutfarm.cli.job.jobs", "remove", "Take a job out of the store, with the runs and probes that no other job reads."
        ),
        "watch": LazyCommand(
            "lutfarm.cli.job.watch",
            "watch",
            "Follow a job of a served farm to its end.  Exit 1 where something is missing then.  Ctrl-C leaves the job alone.",
        ),
        "cancel": LazyCommand(
            "lutfarm.cli.job.watch",
            "cancel",
            "End a job of a served farm: what runs for it is cancelled, what was measured stays.",
        ),
        "why": LazyCommand(
            "lutfarm.cli.job.why",
            "why",
            "Why a job is where it is: each device's state, what it waits for and what comes next; what is done, failed, left.",
        ),
    },
    help="The jobs of the farm.",
)
LUT = LazyCommands(
    {
        "export": LazyCommand(
            "lutfarm.cli.lut.export",
            "export",
            "Build the table of a job from its stored runs, and write it with what `validate` said of it.",
        ),
        "show": LazyCommand("lutfarm.cli.lut.show", "show", "The entries of a table, and what it is good for."),
        "predict": LazyCommand("lutfarm.cli.lut.predict", "predict", "Predict whole networks from a table."),
        "report": LazyCommand(
            "lutfarm.cli.lut.report", "report", "Write a table's report: one HTML page that loads nothing, with its validation."
        ),
        "validate": LazyCommand(
            "lutfarm.cli.lut.validate",
            "validate",
            "Measure networks that the table has never seen, and say how well it predicts them.",
        ),
        "diff": LazyCommand(
            "lutfarm.cli.lut.diff",
            "diff_tables",
            "Compare two tables operator by operator: ratios with intervals, and which operators rank differently.",
        ),
    },
    help="Latency lookup tables.",
)
TOKEN = LazyCommands(
    {
        "create": LazyCommand(
            "lutfarm.cli.farm.token",
            "create",
            "Make a token.  Its text is printed once and never stored; from the first one on nobody comes in without.",
        ),
        "list": LazyCommand(
            "lutfarm.cli.farm.token", "list_", "All tokens, also those that expired or were revoked; never their text."
        ),
        "revoke": LazyCommand(
            "lutfarm.cli.farm.token",
            "revoke",
            "Take a token back, at once.  Where it was the last one, nobody comes in until another is made.",
        ),
    },
    help="Who may come in at a served farm.",
)
BUNDLE = LazyCommands(
    {
        "build": LazyCommand(
            "lutfarm.cli.bundle",
            "build_command",
            "Make a bundle from Debian packages and wheels.  Needs a Debian 12 host, no root, and a minute.",
        ),
        "list": LazyCommand("lutfarm.cli.bundle", "list_command", "The bundles that were built in this home."),
    },
    help="Python and a runtime in one folder, for devices that have neither.",
)

DB = LazyCommands(
    {
        "upgrade": LazyCommand(
            "lutfarm.cli.farm.db",
            "upgrade",
            "Bring the database to this version's schema, as every command does that opens it; whole or not at all.",
        ),
        "check": LazyCommand(
            "lutfarm.cli.farm.db",
            "check",
            "Is the database sound: its files, the links between its tables, what every row holds?  Exit 0 if it is, 4 if not.",
        ),
        "export": LazyCommand(
            "lutfarm.cli.farm.db",
            "export",
            "Write one moment of the database to a new SQLite file, whatever it is in, while others go on.",
        ),
        "import": LazyCommand(
            "lutfarm.cli.farm.db", "import_", "Fill an empty store from a file that `db export` wrote; all of it or nothing."
        ),
        "backup": LazyCommand(
            "lutfarm.cli.farm.db",
            "backup",
            "Write the farm to a new file, while others go on: database, ADB keys, jobs that were sent to it, your own profiles.",
        ),
        "restore": LazyCommand("lutfarm.cli.farm.db", "restore", "Make a home of a backup; it must be empty or not there."),
    },
    help="The database of the farm.",
)

COMMANDS: Mapping[str, LazyCommand | LazyCommands] = {
    "demo": LazyCommand(
        "lutfarm.cli.demo",
        "demo",
        "Measure FBNet's operators on this machine, predict networks, measure those, show the error and calibrate.",
    ),
    "run": LazyCommand("lutfarm.cli.run", "run", "Measure what the job asks for and the store does not have yet."),
    "plan": LazyCommand(
        "lutfarm.cli.plan", "plan", "What would be measured, what is reused, how long it will take.  Changes nothing."
    ),
    "compare": LazyCommand(
        "lutfarm.cli.compare",
        "compare",
        "Measure two sides in turn, in one sitting, and say whether B is slower.  Exit code 1: it is; 5: undecided.",
    ),
    "device": DEVICE,
    "host": HOST,
    "job": JOB,
    "lut": LUT,
    "submit": LazyCommand(
        "lutfarm.cli.submit",
        "submit",
        "Give a job, with the model files that it names, to the served farm that --server or LUTFARM_SERVER names.",
    ),
    "serve": LazyCommand(
        "lutfarm.cli.farm.serve",
        "serve",
        "Serve the farm: take jobs from many people over HTTP and measure them, until Ctrl-C or SIGTERM.",
    ),
    "status": LazyCommand(
        "lutfarm.cli.monitor",
        "status",
        "What every device is doing: its state and why, temperature, last check, what runs, time left.",
    ),
    "metrics": LazyCommand("lutfarm.cli.monitor", "metrics", "The farm's metrics for Prometheus, over HTTP until Ctrl-C."),
    "token": TOKEN,
    "db": DB,
    "bundle": BUNDLE,
    "doctor": LazyCommand(
        "lutfarm.cli.doctor",
        "doctor",
        "Look at this installation: versions, home, store, cores, the runner on this machine.  Exit 1 if something is wrong.",
    ),
}
