"""Claims made up for the page: every outcome, every kind of plot, and everything awkward in them."""

from __future__ import annotations

from dataclasses import replace

from report_samples import INJECTION, LOG

from pipelines.claims import CLAIMS, ClaimReading, Evidence, Ruling, Verdict, claim_module
from pipelines.claims.elsewhere import OthersFinding
from pipelines.claims.experiments.bench import Effort
from pipelines.claims.ledger.entries import Entry
from pipelines.claims.ledger.view import ClaimView, LedgerLine
from pipelines.claims.plots import Bars, Dumbbells, Grid, Lines, Plot, Point, Timeline
from pipelines.claims.texts import Text, Words, page
from pipelines.results import Machine

MACHINE = Machine("Linux 6.8 x86_64", "3.11.7", "Intel(R) Xeon(R) Processor @ 2.80GHz", 2, 8_323_000_000)
VERSIONS = {"torch": "2.13.0+cpu", "tensorflow": "2.21.0", "keras": "3.15.1"}
RULE = Text(
    "CPU-time ratio over fresh processes, eight interleaved rounds; holds if the whole interval is beyond 10 % in the "
    "claimed direction on every model tried, does not hold if on none, else it depends on the model.",
    "在全新进程中测量 CPU 时间之比，交错进行八轮；若每个模型的整个区间都朝论断方向超出 10%，则成立；"
    "若没有一个模型如此，则不成立；否则视模型而定。",
)
CONFOUNDS = Text(
    "The memory layout: Keras computes convolutions in channels_last, PyTorch by default in channels_first. It is "
    "controlled by measuring PyTorch in both.",
    "内存布局：Keras 的卷积按 channels_last 计算，PyTorch 默认按 channels_first。实验对 PyTorch 的两种布局都做了测量。",
)
CHANGES = Text(
    "Another processor, more threads, or models of more than 1e9 operations.",
    "换用其他处理器、更多线程，或运算量超过 1e9 的模型。",
)


def reading(name: str, value: float, width: float = 0.06, unit: str = "x") -> ClaimReading:
    raw = tuple((round(value * (1 + 0.01 * n), 4), 1.0 + 0.003 * n) for n in range(-4, 4))
    return ClaimReading(name, value, unit, value * (1 - width), value * (1 + width), 0.93, raw)


RATIOS = {"small CNN": 0.653, "medium CNN": 0.884, "transformer": 1.031, "mnist_cnn": 0.712}
LAYOUT = {"small CNN, channels_last": 1.062, "medium CNN, channels_last": 1.071}

PLOTS: dict[str, Plot] = {
    "P1": Dumbbells(
        (
            *(Point(f"tf.function / torch eager, {name}", v, v * 0.94, v * 1.06) for name, v in RATIOS.items()),
            *(Point(f"tf.function / torch eager, {name}", v, v * 0.97, v * 1.02, True) for name, v in LAYOUT.items()),
            Point("counted once, without an interval", 0.9),
        ),
        "CPU time of a training step, ratio (below 1: the static graph is faster)",
    ),
    "D1": Dumbbells(
        (Point("tf.function, batch 1", 0.061, 0.058, 0.066), Point("predict(), batch 1", 4.4, 4.1, 4.7)),
        "CPU time against the eager call",
    ),
    "D3": Lines(
        {
            name: tuple((float(x), start + x * slope) for x in (1, 10, 100, 1_000, 10_000))
            for name, start, slope in (
                ("torch eager", 0.0, 0.0121),
                ("torch.compile", 9.8, 0.0102),
                ("aot_eager", 2.5, 0.0118),
            )
        },
        "training steps",
        "cumulative CPU seconds",
        {"break-even of torch.compile with torch eager": 5_158.0, "break-even, inference": 4_700.0, "first call": 1.0},
        log_x=True,
    ),
    "P4": Lines(
        {"torch eager": ((16.0, 210.0), (64.0, 238.3)), "tf.function": ((16.0, 402.0), (64.0, 416.4))},
        "rows of a batch",
        "peak memory, MB",
        {},
    ),
    "H2": Grid(
        ("if", "while", "range", "shape-if", "cond"),
        ("torch.compile", "torch.export", "ONNX (dynamo)", "jit.trace", "tf.function", "SavedModel", "TFLite"),
        (
            ("ok", "refused", "refused", "silently wrong", "ok", "ok", "ok"),
            ("ok", "refused", "refused", "silently wrong", "ok", "ok", "failed"),
            ("ok", "refused", "refused", "silently wrong", "ok", "ok", "skipped"),
            ("ok", "ok", "silently wrong", "ok", "ok", "ok", "ok"),
            ("ok", "ok", "ok", INJECTION, "2 of 3", "ok", "ok"),
        ),
    ),
    "V4": Bars(
        {"LiteRT": 13.6, "ExecuTorch": 13.9, "ONNX Runtime": 34.9, "libtorch": 329.0, "TensorFlow": 968.0},
        "runtime, stripped, MB",
        log=True,
    ),
    "L1": Bars(
        {"definition, PyTorch": 292, "definition, Keras": 242, "loop, PyTorch": 326, "loop, Keras": 385}, "tokens"
    ),
    "V3": Timeline(
        {
            "worker 0": ((0.0, "start"), (31.4, "step 48 again")),
            "worker 1": (
                (0.0, "start"),
                (21.0, "SIGKILL at step 52"),
                (21.3, "torchrun sees it"),
                (21.9, "restart 1 of 3"),
            ),
        },
        {
            "worker 0": ((2.0, 21.0, "steps 1 to 52"), (21.0, 31.4, "rendezvous, import, checkpoint of step 40")),
            "worker 1": ((2.0, 21.0, "steps 1 to 52"), (22.4, 31.4, "a new process")),
        },
    ),
}

FACTS = {
    "processes": 64,
    "compiled": True,
    "graph breaks": 0,
    "threads": [1, 1],
    "first call, s": {"tf.function": 1.93, "torch.compile": 9.8123456},
    "wall": [{"model": name, "ratio": value * 1.1, "noise": 0.21} for name, value in RATIOS.items()],
    "of each mode": {"eager": {"print": True, "line": "named"}, "graph": {"print": False, "line": None}},
    "nested": {"a": [[1, [2, 3]], {"deep": INJECTION}]},
}
SAYS = {
    "P1": (
        Ruling.DEPENDS,
        "0.65 to 1.07",
        "The graph is faster for small networks, equal for the transformer; with the same layout, the lead is gone.",
        "静态图在小网络上更快，在 Transformer 上相当；内存布局相同时，这一领先便消失了。",
    ),
    "D1": (
        Ruling.HOLDS,
        "0.06 to 0.21",
        "As a graph, the call takes 0.06 to 0.21 of the eager call's CPU time.",
        "以图执行时，一次调用的 CPU 时间是动态执行的 0.06 到 0.21 倍。",
    ),
    "D3": (
        Ruling.HOLDS,
        "5,158 steps",
        "Compiled training takes 0.84 of the eager time, and has earned its first call after 5,158 steps.",
        "编译后的训练用时是动态执行的 0.84 倍，5158 步之后收回首次编译的开销。",
    ),
    "P4": (Ruling.UNDECIDED, "0.51 [0.30, 1.2]", "Undecided: the interval is too wide.", "未定：区间太宽。"),
    "H2": (
        Ruling.DEPENDS,
        "8 of 8",
        "torch.compile takes every form; exports refuse three of five, and two are wrong without a word.",
        "torch.compile 接受所有写法；导出拒绝其中三种，还有两种在没有任何提示的情况下算错。",
    ),
    "V4": (
        Ruling.DOES_NOT_HOLD,
        "13.9 MB",
        "MobileInterpreter is no longer supported; its successor is as large as LiteRT.",
        "MobileInterpreter 已不再维护；其后继者与 LiteRT 一样大。",
    ),
    "L1": (
        Ruling.DEPENDS,
        "0.85 to 1.21",
        "PyTorch's definitions are longer, Keras's loops are.",
        "PyTorch 的模型定义更长，而 Keras 的训练循环更长。",
    ),
    "V3": (
        Ruling.HOLDS,
        "9.4 s",
        "After the kill, training goes on within 9.4 seconds and ends with equal weights.",
        "进程被杀后，训练在 9.4 秒内恢复，最终权重完全一致。",
    ),
    "D5": (
        Ruling.NOT_HERE,
        "",
        "Stability is no number that an experiment of minutes could give.",
        "稳定性不是几分钟的实验能给出的数字。",
    ),
    "P2": (
        Ruling.DOES_NOT_HOLD,
        "0.90 to 6.9",
        "On this processor XLA is slower for both networks.",
        "在这台处理器上，XLA 使两个网络都变慢。",
    ),
}
DEPRECATED = "torch 2.13.0: `torch.jit.trace` is deprecated. Please switch to `torch.export`."
VOID = "a thing compared with itself was not equal: torch eager again is 1.31"
FAILED = f"the worker was killed (signal 9) {INJECTION}\n{LOG}"


def view(name: str) -> ClaimView:
    """Make up a claim: P2 is stale, D1 and P4 are void, S5 failed, E1 misses a library, most are not measured."""
    claim = claim_module(name).CLAIM
    words = Words(
        f"原话 {name}：静态图优化后性能更优(尤其在大型模型中)",
        Text(
            f"{name}: static graphs train faster, above all large models.", f"{name}：静态图训练更快，大模型尤其如此。"
        ),
        RULE,
        CONFOUNDS,
        CHANGES,
        {},
    )
    line = LedgerLine(name, claim.sections, words.sentence)
    if name in ("S5", "E1"):
        missing = name == "E1"
        reason = "tfx wants ml-metadata 1.21, and the newest is 1.17.1" if missing else FAILED
        outcome, key = (Ruling.NOT_HERE, "missing") if missing else (Ruling.UNDECIDED, "failed")
        says = page()[f"verdict-{key}"].filled({"reason": reason.partition("\n")[0]})
        entry = replace(_entry(name, Verdict(outcome, words=key), Evidence()), reason=reason)
        shown = replace(line, outcome=outcome, says=says, measured=entry.started, machine=MACHINE.cpu, effort="quick")
        return ClaimView(replace(shown, failed=None if missing else reason), claim, words, entry, None, ())
    if name not in SAYS:
        return ClaimView(line, claim, words, None, None, ())
    outcome, number, en, zh = SAYS[name]
    evidence = Evidence()
    if outcome is not Ruling.NOT_HERE:
        evidence = Evidence(
            (
                *(reading(f"tf.function / torch eager, {model}", value) for model, value in RATIOS.items()),
                ClaimReading("lines that differ", 34, "lines"),
            ),
            FACTS if name == "P1" else {"equal weights": True},
            (reading("torch eager, measured twice", 1.004, 0.02),),
            (DEPRECATED,) if name in ("P1", "H2") else (),
            ("reports/mnist_cnn/20261129T101500Z",) if name == "H2" else (),
        )
    entry = _entry(name, Verdict(outcome, number=number), evidence)
    shown = replace(
        line,
        outcome=outcome,
        number=number,
        says=Text(en, zh),
        measured=entry.started,
        machine=MACHINE.cpu,
        effort="full",
        stale=name == "P2",
        void=VOID if name in ("P4", "D1") else None,
    )
    if name == "P4":  # no sound one before
        shown = replace(shown, number="", says=page()["verdict-void"].filled({"reason": VOID}))
        entry = replace(entry, void=VOID)
    theirs = (
        OthersFinding(
            "contradicts",
            Text(
                "A100, SAM: 1305.5 ms eager, 355.3 ms by Keras.", "A100，SAM：动态执行 1305.5 毫秒，Keras 355.3 毫秒。"
            ),
            "keras-team/keras-io, benchmarks page, 2023",
        ),
        OthersFinding(
            "depends",
            Text("Compiled PyTorch wins four of five.", "编译后的 PyTorch 在五项中胜出四项。"),
            "haifeng-jin/keras-benchmarks#2",
        ),
    )
    return ClaimView(shown, claim, words, entry, PLOTS.get(name), theirs if name in ("P1", "D3") else ())


def _entry(name: str, verdict: Verdict, evidence: Evidence) -> Entry:
    log = f"reports/claims/{name}/log.txt"
    started = f"2026-11-29T1{len(name)}:{20 + int(name[1:])}:07+00:00"
    return Entry(name, verdict, evidence, Effort.FULL, 20261129, started, 93.4, MACHINE, VERSIONS, "k" * 64, log=log)


def views() -> list[ClaimView]:
    """Every claim of the ledger, in its order."""
    return [view(name) for name in CLAIMS]
