"""How much of a .tflite graph the asked delegate took, by what TensorFlow Lite prints of it in all known versions.

Up to 2.2: `Applied GPU delegate, and the model graph will be completely executed w/ the delegate.`  From 2.3 on
`Explicitly applied ... by the delegate.`, or `... partially executed by the delegate w/ 3 delegate kernels.`, or
`Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate.`  And, by release, platform
and log level, `Replacing 64 [out of 66] node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 3 partitions [for ...].`
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lutfarm_agents.native_tools.report import Share, shown
from lutfarm_jobs.errors import WorkloadFailed

NAMES = {"gpu": ("gpu", "litertcl", "litertgl", "litertmetal", "litertvulkan"), "npu": ("dispatch",)}
"""By provider: what stands in its delegate's name, letters alone, in small ones; of all others the provider's own name."""

EXTERNAL = ("qnn", "edgetpu")  # loaded by --external_delegate_path, and named EXTERNAL in a verdict
VERDICT = re.compile(
    r"applied ([\w -]{1,40}?) delegate, and the model graph will be (completely|partially|paritally) executed"
    r"|though ([\w -]{1,40}?) delegate is (?:explicitly )?applied, the model graph will (not) be executed",
    re.IGNORECASE,
)
REPLACING = re.compile(
    r"Replacing (\d{1,7}) (?:out of (\d{1,7}) )?node\(s\) with delegate(?: \(([^)\n]{1,80})\))?"
    r"(?: node, yielding (\d{1,7}) partitions)?(?: for (?:the )?(whole graph|subgraph \d{1,6}))?"
)
UNDONE = re.compile(r"Restored original execution plan after delegate application|Failed to apply ([\w -]{1,40}?) delegate")
OPERATIONS = re.compile(r"(\d{1,7}|No) operations will run on the GPU, and (?:the remaining|all) (\d{1,7})\b")
DELEGATED = re.compile(r"([\w-]{1,40}) delegate: (\d{1,7}) nodes delegated out of (\d{1,7}) nodes")
CREATED = re.compile(r"Created TensorFlow Lite (XNNPACK) delegate for CPU|(XNNPACK) delegate created")
ACCELERATORS = re.compile(r"NNAPI accelerators available: \[([^\]\n]{0,500})\]")


@dataclass(slots=True)
class Taken:
    """What one delegate took, so far as it was printed: by subgraph, its last word counts."""

    verdict: str = ""  # completely, partially, not
    nodes: dict[str, tuple[int, int | None]] = field(default_factory=dict[str, tuple[int, int | None]])

    @property
    def some(self) -> bool:
        """Whether it is said to run anything."""
        if self.nodes and not any(count for count, _ in self.nodes.values()):
            return False
        return self.verdict != "not" and bool(self.verdict or self.nodes)

    def share(self) -> Share:
        """Of all subgraphs together."""
        taken = sum(count for count, _ in self.nodes.values()) if self.nodes else None
        totals = [total for _, total in self.nodes.values()]
        known = [total for total in totals if total is not None]
        if not totals or len(known) < len(totals):
            return Share(taken, taken if self.verdict == "completely" else None, partly=self.verdict != "completely")
        total = sum(known)
        return Share(taken, total, partly=self.verdict == "partially" or (taken or 0) < total)


def share_of(provider: str, said: str) -> Share | None:
    """What the asked delegate took; None of provider `cpu`, for which none may take anything.  Raises WorkloadFailed."""
    found = _taken(said)
    if provider == "cpu":
        _refuse_others(found, said)
        return None
    own = _merged([each for name, each in found.items() if _is(provider, name)])
    if own.some:
        _refuse_reference(provider, said)
        return own.share()
    others = "; ".join(
        f"{name} took {_words(each.share())}" for name, each in found.items() if each.some and not _is(provider, name)
    )
    if own.verdict or own.nodes:
        total = sum(total or 0 for _, total in own.nodes.values())
        of = f"none of the model's {total} nodes" if total else "none of the model's nodes"
        raise WorkloadFailed(
            f"the delegate {provider} took {of}{f', and {others}' if others else ''}: it would have measured the CPU under "
            "another name; see what the delegate supports, or ask for the provider that ran"
        )
    raise WorkloadFailed(
        f"nothing that the tool printed says that the delegate {provider} ran{f'; {others}' if others else ''}. Looked for: "
        f"'Explicitly applied {provider.upper()} delegate, and the model graph will be ... executed', or "
        f"'Replacing N out of M node(s) with delegate (...{provider}...)'. It printed: {shown(said)}"
    )


def _taken(said: str) -> dict[str, Taken]:
    """By the delegate's name as it is printed, small letters and digits alone."""
    found: dict[str, Taken] = {}
    for number, line in enumerate(said.splitlines()):
        if undone := UNDONE.search(line):
            names = [name for name in found if not undone[1] or _is(undone[1].lower(), name)]
            for name in names:
                found[name] = Taken("not")
        if verdict := VERDICT.search(line):
            how = "not" if verdict[4] else "completely" if verdict[2].lower() == "completely" else "partially"
            found.setdefault(_plain(verdict[1] or verdict[3]), Taken()).verdict = how
        if replacing := REPLACING.search(line):
            count, total, partitions = int(replacing[1]), replacing[2], replacing[4]
            of = int(total) if total else count if partitions == "1" else None
            one = found.setdefault(_plain(replacing[3] or "a delegate without a name"), Taken())
            one.nodes[replacing[5] or f"line {number}"] = (count, of)
    for name, count, total in DELEGATED.findall(said):  # Hexagon's and Core ML's own words
        if not any(each.nodes for other, each in found.items() if _plain(name) in other):
            found.setdefault(_plain(name), Taken()).nodes["all"] = (int(count), int(total))
    if (operations := OPERATIONS.search(said)) and not any(each.nodes for name, each in found.items() if _is("gpu", name)):
        count = 0 if operations[1] == "No" else int(operations[1])
        found.setdefault("gpu", Taken()).nodes["operations"] = (count, count + int(operations[2]))
    return found


def _merged(several: list[Taken]) -> Taken:
    """One delegate goes by two names: that of its provider in a verdict, that of its kernels elsewhere."""
    whole = Taken()
    for each in several:
        whole.verdict = each.verdict or whole.verdict
        whole.nodes |= each.nodes
    return whole


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _is(provider: str, name: str) -> bool:
    """Whether a name that was printed is the provider's."""
    wanted = NAMES.get(provider, (_plain(provider),))
    return any(part in name for part in wanted) or (provider in EXTERNAL and name == "external")


def _refuse_others(found: dict[str, Taken], said: str) -> None:
    for name, each in found.items():
        if each.some:
            raise WorkloadFailed(
                f"the CPU's own kernels were asked for, and the delegate {name} took {_words(each.share())}: ask for the "
                "provider that ran, such as xnnpack"
            )
    if (created := CREATED.search(said)) and not any("xnnpack" in name for name in found):
        raise WorkloadFailed(
            f"the CPU's own kernels were asked for, and the tool printed {created[0]!r}: ask for xnnpack, or take a build of the "
            "tool that knows --use_xnnpack=false"
        )


def _refuse_reference(provider: str, said: str) -> None:
    accelerators = ACCELERATORS.search(said)
    if provider == "nnapi" and accelerators and accelerators[1].strip() == "nnapi-reference":
        raise WorkloadFailed(
            "NNAPI has no accelerator there but nnapi-reference, which computes on the CPU: ask for xnnpack or gpu"
        )


def _words(share: Share) -> str:
    if share.taken is None:
        return "part of the graph" if share.partly else "the whole graph"
    return f"{share.taken} of {share.total} nodes" if share.total else f"{share.taken} nodes"
