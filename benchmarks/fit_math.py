"""Fits the constants of cpp/core/math.h and prints them: weighted minimax polynomials and rationals.

Needs mpmath. Each coefficient is rounded to the working type in turn and the others are fitted again,
so that the rounding of one makes up for that of another.

    python benchmarks/fit_math.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import mpmath
from mpmath import mp, mpf

mp.dps = 60

Function = Callable[[mpf], mpf]
MANTISSA = {"float": 24, "double": 53}


def rounded(value: mpf, bits: int) -> mpf:
    """Nearest number with a significand of `bits` bits."""
    scale = mpf(2) ** (bits - 1 - mpmath.floor(mpmath.log(abs(value), 2)))
    return mpmath.nint(value * scale) / scale


def minimax(target: Function, basis: Sequence[Function], weight: Function, points: Sequence[mpf]) -> list[mpf]:
    """Coefficients c that minimise max |weight·(target − Σ c·basis)| over `points` (Remez exchange)."""
    size = len(basis) + 1
    rows = [[weight(x) * b(x) for b in basis] for x in points]
    wanted = [weight(x) * target(x) for x in points]
    chosen = [int(len(points) * (1 - mpmath.cos(mpmath.pi * (i + 0.5) / size)) / 2) for i in range(size)]
    for _ in range(50):
        system = mpmath.matrix(size, size)
        for i, point in enumerate(chosen):
            for k in range(size - 1):
                system[i, k] = rows[point][k]
            system[i, size - 1] = (-1) ** i
        solution = mpmath.lu_solve(system, mpmath.matrix([wanted[point] for point in chosen]))
        coefficients = [solution[k] for k in range(size - 1)]
        error = [w - mpmath.fdot(coefficients, row) for w, row in zip(wanted, rows, strict=True)]
        extrema = [0]
        for i in range(1, len(points)):
            if (error[i] > 0) != (error[extrema[-1]] > 0):
                extrema.append(i)
            elif abs(error[i]) > abs(error[extrema[-1]]):
                extrema[-1] = i
        while len(extrema) > size:
            extrema.pop(0 if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else -1)
        if len(extrema) < size or max(map(abs, error)) < abs(solution[size - 1]) * mpf("1.001"):
            break
        chosen = extrema
    return coefficients


def without(target: Function, coefficient: mpf, term: Function) -> Function:
    return lambda x: target(x) - coefficient * term(x)


def minimax_rounded(
    target: Function, basis: Sequence[Function], weight: Function, points: Sequence[mpf], bits: int
) -> list[mpf]:
    """As `minimax`, every coefficient rounded to `bits` bits, the first of the basis first."""
    done: list[mpf] = []
    while len(done) < len(basis):
        rest = minimax(target, basis[len(done) :], weight, points)
        done.append(rounded(rest[0], bits))
        target = without(target, done[-1], basis[len(done) - 1])
    return done


def power(k: int) -> Function:
    return lambda x: x**k


def half_coth(kind: str, degree: int) -> list[mpf]:
    """g(y) = 2 + y·(c0 + c1·y + ...) ≈ r·coth(r/2), y = r², for e^r = (g + r)/(g − r), |r| ≤ ln(2)/2."""
    points = [(mpf(i) / 1000 * mpmath.log(2) / 2 * mpf("1.0001")) ** 2 for i in range(1, 1001)]

    def target(y: mpf) -> mpf:
        return mpmath.sqrt(y) * mpmath.coth(mpmath.sqrt(y) / 2) - 2

    def weight(y: mpf) -> mpf:  # relative error of e^r per unit of error in g
        return 2 * mpmath.sqrt(y) / ((target(y) + 2) ** 2 - y)

    return minimax_rounded(target, [power(k) for k in range(1, degree + 1)], weight, points, MANTISSA[kind])


def tanh_half_ratio(bits: int, bound: mpf) -> tuple[list[mpf], list[mpf]]:
    """Polynomials p of degree 2, q of degree 3: tanh(x/2) ≈ x·p(x²)/q(x²), |x| ≤ bound, for 2t/(1 + t²) = tanh(x).

    q is monic, which saves a product. Its constant is a choice: nearly as good fits exist for a range of them,
    and this one had the smallest rounding errors of those tried.
    """
    points = [(bound * i / 1000) ** 2 for i in range(1, 1001)]
    ratio = mpmath.memoize(lambda y: mpmath.tanh(mpmath.sqrt(y) / 2) / mpmath.sqrt(y))
    # relative error of tanh(x) per unit of relative error in tanh(x/2)
    gain = mpmath.memoize(lambda y: mpmath.sech(mpmath.sqrt(y)))
    first = mpf(912000)

    def weight(q: Sequence[mpf]) -> Function:
        return lambda y: gain(y) / (ratio(y) * mpmath.polyval(q[::-1], y))

    powers = [power(1), power(2)]
    basis = powers + [lambda y, b=b: -ratio(y) * b(y) for b in powers]
    q = [first, first / 8, first / 1000, mpf(1)]
    for _ in range(10):  # q·ratio − p is linear in p and q; its weight 1/q follows the last q
        fit = minimax(lambda y: ratio(y) * (first + y**3) - first / 2, basis, weight(q), points)
        q = [first, *fit[2:], mpf(1)]
    q = [rounded(c, bits) for c in q]
    p = minimax_rounded(lambda y: ratio(y) * mpmath.polyval(q[::-1], y) - first / 2, powers, weight(q), points, bits)
    return [first / 2, *p], q


def show(name: str, kind: str, values: Sequence[mpf]) -> None:
    suffix = "f" if kind == "float" else ""
    print(f"{kind} {name}: " + ", ".join(float(v).hex() + suffix for v in values))


if __name__ == "__main__":
    for kind, degree in (("float", 2), ("double", 5)):
        show("g", kind, half_coth(kind, degree))
    p, q = tanh_half_ratio(MANTISSA["float"], mpf("8.66"))
    show("p", "float", p)
    show("q", "float", q)
