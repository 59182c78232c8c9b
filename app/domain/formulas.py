"""Detects formulas that may hide text. Pure.

MathJax, which GitHub uses, has commands for invisible text: phantoms, comments, definitions,
colors, sizes, negative spaces. So a formula counts as visible only if all its commands are
listed here. https://docs.mathjax.org/en/v3.2/input/tex/macros/index.html
"""

from __future__ import annotations

import re

_COMMAND = re.compile(r"\\([A-Za-z]+|.|$)", re.DOTALL)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([^{}]*)\}")
_COMMENT = re.compile(r"(?<!\\)%[^\S\n]*\S")
_MOVED_LINE = re.compile(r"\\\\\s*\*?\s*\[")
# The columns of an array, and where rows are aligned: MathJax reads a few letters and drops others.
_ARRAY = re.compile(r"\\begin\s*\{\s*array\s*\}(?!\s*\{[clr|:\s]*\})")
_ALIGNED = re.compile(r"\\begin\s*\{[^{}]*\}\s*\[")
LEFT_OUT = "[a formula is left out here]"

# Greek and other letters; operators; relations and arrows; functions; fences and dots; what is put
# on letters, and their styles; rows; and the commands of one sign.
_COMMANDS = r"""
alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi
varpi rho varrho sigma varsigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi
Sigma Upsilon Phi Psi Omega aleph beth hbar ell Re Im wp imath jmath
cdot times div pm mp ast star circ bullet oplus ominus otimes oslash odot dagger ddagger cap cup
uplus sqcap sqcup vee wedge land lor lnot neg setminus sum prod coprod int iint iiint oint bigcup
bigcap bigvee bigwedge bigoplus bigotimes limits nolimits sqrt frac dfrac tfrac binom dbinom tbinom
partial nabla infty prime angle triangle square surd
le leq leqslant ge geq geqslant ne neq equiv approx approxeq cong sim simeq propto asymp ll gg prec
succ preceq succeq subset subseteq subsetneq supset supseteq supsetneq in ni notin mid nmid parallel
perp models vdash dashv to gets mapsto implies impliedby iff leftarrow rightarrow leftrightarrow
Leftarrow Rightarrow Leftrightarrow longleftarrow longrightarrow longmapsto Longrightarrow
Longleftarrow uparrow downarrow updownarrow hookrightarrow not forall exists nexists emptyset
varnothing therefore because colon lt gt
sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh exp log ln lg lim limsup liminf max min
sup inf arg deg det dim gcd hom ker Pr mod bmod pmod
left right middle big Big bigg Bigg bigl bigr Bigl Bigr biggl biggr Biggl Biggr langle rangle lfloor
rfloor lceil rceil lvert rvert lVert rVert vert Vert lbrace rbrace lbrack rbrack backslash dots
ldots cdots vdots ddots
hat widehat check tilde widetilde acute grave dot ddot breve bar vec overline underline
overrightarrow overleftarrow overbrace underbrace overset underset stackrel boxed mathbb mathbf
mathcal mathfrak mathit mathrm mathsf mathtt mathscr boldsymbol text textbf textit textrm textsf
texttt operatorname quad qquad
begin end hline
, ; : | { } % $ # & _ \
"""
_ROWS = """
matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix smallmatrix cases array aligned align align* gathered
gather gather* split equation equation*
"""
_SHOWN = frozenset(_COMMANDS.split()) | {" ", "\n", ""}
_ENVIRONMENTS = frozenset(_ROWS.split())


def is_seen(formula: str) -> bool:
    """Whether every letter of a formula (given without its dollar signs) is visible."""
    if _COMMENT.search(formula):
        return False
    return _has_only_shown_commands(formula)


def without_hidden(text: str) -> str:
    """Replace each formula that may hide text with a note.

    Pairs of dollar signs are ambiguous: any text between two of them may be a formula.
    """
    parts = text.split("$")
    for at in range(1, len(parts) - 1):
        if _may_hide(parts, at):
            parts[at] = LEFT_OUT
    return "$".join(parts)


def _may_hide(parts: list[str], at: int) -> bool:
    part = parts[at]
    if "\\" in part and not _has_only_shown_commands(part):
        return True
    # A percent sign starts a comment in a formula but is common in prose: "$5, 20% of $25" is not a
    # formula.
    is_displayed = not parts[at - 1] or not parts[at + 1]
    is_formula = is_displayed or (part == part.strip() and not parts[at + 1][:1].isalnum())
    return is_formula and _COMMENT.search(part) is not None


def _has_only_shown_commands(formula: str) -> bool:
    if any(form.search(formula) for form in (_MOVED_LINE, _ARRAY, _ALIGNED)):
        return False
    return {found[1] for found in _COMMAND.finditer(formula)} <= _SHOWN and all(
        found[1].strip() in _ENVIRONMENTS for found in _ENVIRONMENT.finditer(formula)
    )
