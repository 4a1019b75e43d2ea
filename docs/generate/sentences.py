r"""Formulas inside of sentences: found, and typeset as `docs.generate.formulas` does.

A formula is a row of numbers, names of one letter, Greek letters, functions, options and signs,
as long as possible. It has a sign, an index or a power at least, and all of it can be read. What
is not certain stays plain: that is better than prose that is typeset.
"""

import re

from docs.generate.formulas import GREEK, KNOWN, OWN, SYMBOLS, NotAFormulaError, inline

CODE = re.compile("``.*?``|`[^`]*`", re.DOTALL)
BEGIN = re.compile(r"(?:(?<=\s)|(?<=\s\()|\A)(?:[A-Za-zπ\d(\[|]|-(?=[\w(]))")
SIGN = r"<-|<=|>=|!=|\+-|[-+=~<>^/,|…²ᵀ]"
PART = re.compile(
    r"\s*(?:(?P<word>d[a-z](?:_[a-z])?/d[a-z](?:_[a-z])?|[A-Za-zπ][A-Za-z\d_]*'?)|\d+(?:\.\d+)?(?:e-?\d+)?"
    rf"|(?P<open>[(\[{{])|(?P<close>[)\]}}])|(?P<sign>{SIGN}))"
)
GREEK_OR_LATIN = rf"d(?!o)[a-zW]|[a-d]x|[A-Za-z]|(?:{'|'.join(GREEK)})\d?|d?xhat"
NAME = re.compile(rf"(?:(?:sum|mean)_[a-z]?|(?:{GREEK_OR_LATIN})(?:_(?:[A-Za-z\d]|ij)?)?)'?")
WORDS = KNOWN | OWN | SYMBOLS.keys() | {"floor", "mean", "n_in", "n_out", "sqrt", "sum"}
FORMAL = re.compile(
    r" (?:[-+/=~<>]|<-|<=|>=|!=) |[\^²ᵀ]|\w'|d\w/d|, inf[)\]]|\(-inf"
    r"|\b(?:exp|log|max|min|sqrt)\(|\|\w+\|"
)
OPERATOR = r"(?:<-|[-+*=/<>~])\s"
BEFORE = re.compile(rf"{OPERATOR}\s*\(?\Z")
END = re.compile(rf"\Z|\s(?!\s*{OPERATOR})|[.,;:?!)]+(?:\s|\Z)")
LINKS = {"and", "at", "for", "if", "is", "or", "where", "with"}


def pieces(text: str, names: set[str]) -> list[str]:
    r"""Cut a text into prose and LaTeX, by turns; prose is the first and the last.

    `names` are words with a meaning, such as those of options. What stands in backticks is prose.

    Examples
    --------
    >>> pieces("At the end s = 1 / n, the mean.", set())
    ['At the end ', 's = \\frac{1}{n}', ', the mean.']
    """
    found, begin, i = list[str](), 0, 0
    while i < len(text):
        if code := CODE.match(text, i):
            i = code.end()
        elif BEGIN.match(text, i) and (end := formula_end(text, i, names)) > i:
            try:
                latex = inline(" ".join(text[i:end].split()), names)
            except NotAFormulaError:
                pass
            else:
                found += [text[begin:i], latex]
                begin = end
            i = end
        else:
            i += 1
    return [*found, text[begin:]]


def formula_end(text: str, begin: int, names: set[str]) -> int:
    """Where the formula that begins here ends; `begin` where there is none."""
    if BEFORE.search(text[max(0, begin - 30) : begin]):
        return begin
    parts, kept, depth, i, end = list[str](), list[str](), 0, begin, begin
    while part := PART.match(text, i):
        sign = part[0].strip()
        depth += bool(part["open"]) - bool(part["close"])
        if depth < 0 or (sign == "," and not depth):
            break
        if part["word"] and not is_name(sign, parts, names):
            break
        parts.append(sign)
        i = part.end()
        if not depth and (not part["sign"] or sign in "|…²ᵀ"):
            end, kept = i, parts[:]
    formula = text[begin:end]
    certain = (
        FORMAL.search(formula)
        or any("_" in word and NAME.fullmatch(word) for word in kept)
        or (text[:begin].endswith("Return ") and len(kept) > 1)
    )
    if not (certain and re.search("[A-Za-zπ]", formula) and END.match(text, end)):
        return begin
    first, last = kept[0], kept[-1]
    called = text[begin + len(first) :].startswith("(")
    if is_english(first, names) and not (called or re.match(SIGN, "".join(kept[1:2]))):
        return begin
    following = re.match(r"\s+(\w+|`)", text[end:])
    if following and is_english(last, names):
        article = len(last) == 1 and following[1] not in LINKS
        if article or not re.match(SIGN, "".join(kept[-2:-1])):
            return begin
    return end


def is_name(word: str, before: list[str], names: set[str]) -> bool:
    """Whether a formula may have this word, after others: "sum over k of", "lr", "x_i", "beta1"."""
    if word in {"of", "over"}:
        return before[-1:] in (["sum"], ["mean"]) or (word == "of" and before[-2:-1] == ["over"])
    return bool(NAME.fullmatch(word)) or "/" in word or word in WORDS or word in names


def is_english(word: str, names: set[str]) -> bool:
    """Whether a word of formulas may be one of prose as well."""
    if word in GREEK | {"eps", "lr", "std"} or re.search(r"[\d_]", word):
        return False
    return word in {"a", "A", "I"} or (len(word) > 1 and word in WORDS | names)
