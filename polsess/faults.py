"""What is wrong with a corpus, said all at once."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a corpus: where, what was expected, what was found, the remedy.

    Arguments
    ---------
    split : str
        Split of the row; empty for a fault of the whole corpus.
    row : str
        The row's id, or its line in the CSV where it has none; empty for a
        fault of more than one row.
    file : str
        Path within the data folder, or empty.
    expected, found, remedy : str
        Short texts without a full stop.
    line : int, optional
        The row's line in the CSV, which tells rows of one id apart. None for a
        fault that leaving rows out cannot mend.
    """

    split: str
    row: str
    file: str
    expected: str
    found: str
    remedy: str
    line: int | None = None

    def __str__(self):
        where = [self.split] if self.split else []
        if self.line is not None:
            where.append(f"line {self.line}")
            if self.row != f"line {self.line}":
                where.append(f"row {self.row}")
        if self.file:
            where.append(f"file {self.file}")
        return f"{', '.join(where) or 'corpus'}: found {self.found}"


class CorpusError(ValueError):
    """A corpus that cannot be used; the text of the error is the whole report.

    Arguments
    ---------
    data_folder : str or path
        The corpus.
    faults : list of Fault
        Every fault. Faults that share what was expected and the remedy are
        grouped; a line is never wrapped, so that file names stay whole.

    Example
    -------
    >>> stereo = Fault("test", "a-b", "test/mix/a-b.wav", "mono", "stereo", "mix", 2)
    >>> print(CorpusError("PolSESS", [stereo]))
    PolSESS: 1 fault in 1 row
    <BLANKLINE>
    expected mono (1 fault; remedy: mix)
      test, line 2, row a-b, file test/mix/a-b.wav: found stereo
    <BLANKLINE>
    on_fault: drop leaves the faulty rows out
    """

    def __init__(self, data_folder, faults):
        self.faults = list(faults)
        super().__init__(report(data_folder, self.faults))


def report(data_folder, faults):
    """The faults as text, grouped by what was expected, one a line.

    Arguments
    ---------
    data_folder : str or path
        The corpus, for the headline.
    faults : list of Fault
        What to report.

    Returns
    -------
    str
    """
    groups = {}
    for fault in faults:
        groups.setdefault((fault.expected, fault.remedy), []).append(fault)
    rows = {(fault.split, fault.line) for fault in faults if fault.line is not None}
    total = _count(len(faults), "fault")
    lines = [f"{data_folder}: {total} in {_count(len(rows), 'row')}"]
    for (expected, remedy), members in groups.items():
        count = _count(len(members), "fault")
        lines += ["", f"expected {expected} ({count}; remedy: {remedy})"]
        lines += [f"  {fault}" for fault in members]
    if rows and all(fault.line is not None for fault in faults):
        lines += ["", "on_fault: drop leaves the faulty rows out"]
    return "\n".join(lines)


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
