"""Describes what became of an artifact: its files, its certificate, what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pipelines.results.words import Doc, Status


@dataclass(frozen=True, slots=True)
class StageUsage:
    """The operating system's accounting of the process that did a stage."""

    wall_s: Annotated[float, Doc("Elapsed time, seconds.")]
    cpu_s: Annotated[float, Doc("User and system CPU time, seconds.")]
    peak_rss_bytes: Annotated[int, Doc("Largest resident memory, bytes.")]


@dataclass(frozen=True, slots=True)
class FileEntry:
    path: Annotated[str, Doc("File, relative to the artifact's folder.")]
    bytes: Annotated[int, Doc("Size, bytes.")]
    sha256: Annotated[str, Doc("SHA-256 of the content, hexadecimal.")]


@dataclass(frozen=True, slots=True)
class Flip:
    """A row whose largest output changed; ``margin`` is the reference's lead of its first class over its second."""

    set: Annotated[str, Doc("Set of inputs that the row belongs to.")]
    row: Annotated[int, Doc("Row within the set, from 0.")]
    reference: Annotated[int, Doc("Class with the reference's largest output.")]
    received: Annotated[int, Doc("Class with the artifact's largest output.")]
    margin: Annotated[
        float, Doc("The reference's lead of its first class over its second, in units of the output (logits).")
    ]


@dataclass(frozen=True, slots=True)
class Parity:
    """An artifact's outputs against the reference's, over one set of inputs at one batch size."""

    set: Annotated[
        Literal["evaluation", "random"], Doc("Inputs that were compared: of the evaluation set, or seeded random ones.")
    ]
    batch: Annotated[int, Doc("Rows in one call.")]
    rows: Annotated[int, Doc("Rows compared.")]
    max_abs: Annotated[float, Doc("Largest absolute difference of any output value.")]
    p999_abs: Annotated[float, Doc("The absolute difference below which 99.9 % of the output values are.")]
    max_rel: Annotated[float, Doc("Largest relative difference of any output value.")]
    sqnr_db: Annotated[
        float | None,
        Doc("Ratio of the reference's outputs to the differences, of the sums of squares, dB; null if none differs."),
    ]
    cosine: Annotated[float, Doc("Cosine similarity of the outputs, smallest over the rows.")]
    top1: Annotated[
        float | None, Doc("Share (0 to 1) of rows whose class is the reference's; null where outputs are no classes.")
    ]
    margin: Annotated[
        float | None, Doc("Largest margin of a row whose class is not the reference's; null if all classes are.")
    ] = None


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parity verdict of one artifact, bound to its bytes by ``artifact_sha256``.

    ``basis_sha256`` covers what it was compared with, by which code and within which tolerance;
    ``answers_sha256`` the artifact's own answers, with which answers over the wire are compared.
    ``max_abs`` and ``cosine`` are the worst of the checks that the tolerance judges.
    """

    artifact_sha256: Annotated[str, Doc("Hash of the artifact's manifest of files: what the verdict is bound to.")]
    basis_sha256: Annotated[str, Doc("Hash of what the artifact was compared with, and by which code.")]
    answers_sha256: Annotated[
        str, Doc("Hash of the artifact's own answers, with which those over the wire are compared.")
    ]
    reference: Annotated[str, Doc("What the artifact was compared with.")]
    min_sqnr_db: Annotated[float | None, Doc("Smallest sqnr_db that passes; null if it is not limited.")]
    atol: Annotated[float | None, Doc("Largest absolute difference that passes; null if it is not limited.")]
    min_top1: Annotated[
        float | None,
        Doc("Smallest share (0 to 1) of rows that must keep their class; null where there are no classes."),
    ]
    min_cosine: Annotated[
        float | None,
        Doc("Smallest cosine of a row and the reference's that passes; null where outputs are no vectors."),
    ]
    tolerance_source: Annotated[Literal["variant", "user"], Doc("Who set the tolerances: the variant, or the user.")]
    passed: Annotated[bool, Doc("The verdict.")]
    breaches: Annotated[tuple[str, ...], Doc("Every tolerance that was broken; empty if the artifact passed.")]
    sqnr_db: Annotated[
        float | None,
        Doc(
            "The ratio over all checks of a set, the smaller of the sets that are judged, dB; null if nothing differs."
        ),
    ]
    max_abs: Annotated[float, Doc("Largest absolute difference of the checks that the tolerance judges.")]
    p999_abs: Annotated[float, Doc("Largest p999_abs of the checks that the tolerance judges.")]
    cosine: Annotated[float, Doc("Smallest cosine similarity of the checks that the tolerance judges.")]
    top1: Annotated[
        float | None,
        Doc("Share (0 to 1) of rows, of evaluation data if there is any, whose class is the reference's; or null."),
    ]
    accuracy: Annotated[
        float | None,
        Doc(
            "Share (0 to 1) of right answers to the evaluation set: the label's class, or a nearest other row with "
            "the same label, for vectors; null without labels, or if not all rows were asked."
        ),
    ]
    reference_accuracy: Annotated[float | None, Doc("The same share of the reference; null without labels.")]
    checks: Annotated[tuple[Parity, ...], Doc("The comparisons, one a set and batch size.")]
    flips: Annotated[tuple[Flip, ...], Doc("Rows whose largest output changed.")]
    margin: Annotated[
        float | None, Doc("Largest margin of the checks that the tolerance judges; null if all classes are the same.")
    ] = None
    most_margin: Annotated[
        float | None,
        Doc("Largest margin that passes, in units of the output; null without classes, or with the user's limit."),
    ] = None


@dataclass(frozen=True, slots=True)
class Holds:
    """The contents of an artifact, read out of its files: not what it was asked to be, but what it is.

    Names are sorted, so that equal artifacts hold equal things. Inputs, outputs and constants that a format writes as
    operations are not counted as such.
    """

    weights: Annotated[
        Mapping[str, int], Doc("Bytes of weights and other constants, by the type of their elements in numpy's words.")
    ]
    operators: Annotated[Mapping[str, int], Doc("Number of operations, by their name in the format.")]
    custom: Annotated[
        tuple[str, ...],
        Doc("Operators that the format itself has not: custom ones, TensorFlow's in LiteRT (Flex), another domain's."),
    ] = ()
    delegated: Annotated[
        float | None,
        Doc("Share (0 to 1) of operations that the file hands to a delegate; null for a format without delegates."),
    ] = None
    facts: Annotated[
        Mapping[str, str], Doc("What else the format tells, such as the opset, the precision or the processor.")
    ] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Try:
    """A way to make a variant that was tried and not taken."""

    form: Annotated[str, Doc("Form of the model that it was made from.")]
    reason: Annotated[str, Doc("Why it was not taken: the sentence of the converter, or what parity said.")]


@dataclass(frozen=True, slots=True)
class ArtifactRow:
    """One variant of one path: packaged and verified."""

    path: Annotated[str, Doc("Name of the path.")]
    variant: Annotated[str, Doc("Name of the variant.")]
    framework: Annotated[str, Doc("Framework whose form of the model the variant is made from.")]
    summary: Annotated[str, Doc("What the variant is.")]
    status: Annotated[Status, Doc("ok, failed or skipped.")]
    reason: Annotated[
        str | None, Doc("Why it failed or was skipped, its first line the sentence, the rest a log; null if ok.")
    ]
    lifecycle: Annotated[
        str | None,
        Doc("State of its technology, such as beta or deprecated, since when, with the source; null if maintained."),
    ] = None
    cached: Annotated[bool, Doc("Whether the artifact came from the build cache.")] = False
    folder: Annotated[str | None, Doc("Where the artifact lies.")] = None
    size_bytes: Annotated[int | None, Doc("Size of the payload, bytes.")] = None
    files: Annotated[tuple[FileEntry, ...], Doc("Files of the payload.")] = ()
    holds: Annotated[
        Holds | None, Doc("The contents, read out of the payload; null if there is none, and in older reports.")
    ] = None
    package: Annotated[StageUsage | None, Doc("What packaging cost.")] = None
    verify: Annotated[StageUsage | None, Doc("What verification cost.")] = None
    certificate: Annotated[Certificate | None, Doc("The parity verdict; null if verification was not reached.")] = None
    form: Annotated[str | None, Doc("Form of the model that it was made from; null if it was not made.")] = None
    tries: Annotated[tuple[Try, ...], Doc("Ways that were tried before, by other forms, and not taken.")] = ()
