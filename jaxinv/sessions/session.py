"""`Session`: one picture edited step by step, with undo, and with a recipe of what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxinv.edits.blending import common_space
from jaxinv.edits.directions import row_numbers
from jaxinv.edits.paths import code_at, with_code
from jaxinv.edits.ways import way_path
from jaxinv.inversion.problem import NetworkParams
from jaxinv.io.image_ops import to_uint8
from jaxinv.io.latent_files import fit_latents
from jaxinv.models.arguments import check_generator, check_latents, check_nets
from jaxinv.models.loading import load_features
from jaxinv.models.rendering import draw_one
from jaxinv.sessions import dragging as drags
from jaxinv.sessions import painting as paints
from jaxinv.sessions.operations import (
    DragPoints,
    MixRows,
    Move,
    Operation,
    PaintColours,
    fingerprint,
)
from jaxinv.sessions.places import check_mask
from jaxinv.specs.checks import check_kind, check_number, check_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxinv.edits.ways import Way
    from jaxinv.models.generators.base import Generator
    from jaxinv.sessions.dragging import Drag
    from jaxinv.sessions.painting import Paint
    from jaxinv.types import Latents, Params


class Session:
    """One picture that is edited step by step.

    What is done to it (`move`, `drag`, `paint`, `mix`) is kept as a list of operations, of which
    the last ones can be undone and redone. `drag` and `paint` are searches: `dragging` and
    `painting` give them step by step, for whoever wants to look on, and `keep` keeps what they have
    reached. Nothing is drawn until a `picture` is asked for. Equal operations on equal latents give
    equal latents, to the bit, on the same machine: `jaxinv.sessions.recipes` writes them as JSON.

    >>> import jaxinv
    >>> gen, params = jaxinv.load_generator("ffhq")  # doctest: +SKIP
    >>> session = jaxinv.Session(gen, params, latents)  # doctest: +SKIP
    >>> session.drag([(512, 700)], [(512, 660)])  # doctest: +SKIP
    >>> session.undo()  # doctest: +SKIP
    """

    def __init__(
        self,
        gen: Generator,
        params: Params,
        latents: Latents,
        *,
        nets: dict[str, Params] | None = None,
    ) -> None:
        """Begin with latents of ONE sample, without a leading axis, as `load_latents` gives them.

        Args:
            gen: the generator, with its `params`.
            params: its parameters.
            latents: a code, and what else the picture has (changes of weights, say).
            nets: parameters of the net that painting needs ("alexnet"); loaded when it is needed.

        Raises:
            ValueError: the generator cannot draw these latents, or they mix several codes.
        """
        check_generator(gen, params)
        check_kind("latents", latents, dict, " of arrays by space")
        if nets is not None:
            check_nets(nets)
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], latents)
        check_latents(gen, params, batch)
        common_space(latents)
        self.gen, self.params, self.nets = gen, params, nets
        self._reached: list[Latents] = [fit_latents(gen.spec, latents)]
        self._done: list[Operation] = []
        self._place = 0

    @property
    def latents(self) -> Latents:
        """The latents as they are now, of ONE sample."""
        return self._reached[self._place]

    @property
    def start(self) -> Latents:
        """The latents with which the session began."""
        return self._reached[0]

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What was done and not undone, first to last."""
        return tuple(self._done[: self._place])

    @property
    def undone(self) -> int:
        """How many operations `redo` would bring back."""
        return len(self._done) - self._place

    def picture(self, size: int | None = None, latents: Latents | None = None) -> np.ndarray:
        """The picture, or that of other latents: uint8 [size, size, 3], by default at full size."""
        if size is not None:
            check_whole("size", size, 1)
            size = min(size, self.gen.spec.resolution)
        held = self.latents if latents is None else latents
        return to_uint8(np.asarray(draw_one(self.gen, self.params, held, size)))

    def undo(self) -> bool:
        """Take the last operation back; False where there is none."""
        self._place, before = max(self._place - 1, 0), self._place
        return self._place < before

    def redo(self) -> bool:
        """Do again what was undone last; False where there is nothing."""
        self._place, before = min(self._place + 1, len(self._done)), self._place
        return self._place > before

    def restart(self, latents: Latents) -> None:
        """Do everything that was done again, from other latents; errors as those of `apply`."""
        other = Session(self.gen, self.params, latents, nets=self.nets)
        for one in self._done[: self._place]:
            other.apply(one)
        self._reached, self._done, self._place = other._reached, other._done, other._place

    def moved(self, way: Way, amount: float) -> Latents:
        """Latents moved along a direction or a walk, by an amount in its units; not kept.

        Raises `ValueError` for a way of another generator or space.
        """
        check_number("amount", amount)
        path = way_path(way, self.gen, self.params)
        return path.apply(self.gen, self.params, self.latents, amount)

    def move(self, way: Way, amount: float, *, name: str = "") -> None:
        """Move along a direction or a walk; `name` is what finds it again. Errors as in `moved`."""
        self._keep(Move(way, float(amount), name or way.name), self.moved(way, amount))

    def mixed(self, style: Latents, rows: Sequence[int]) -> MixRows:
        """The operation that takes `rows` of w+ from other latents of ONE sample.

        Raises `ValueError` for rows that there are not, and for latents without w+.
        """
        chosen = row_numbers("rows", rows)
        count = self.gen.spec.rows
        if not count or chosen[-1] >= count:
            raise ValueError(f"rows {list(chosen)}; allowed: some of 0 to {count - 1}")
        code = code_at(self.gen, self.params, fit_latents(self.gen.spec, style), "w+")
        return MixRows(np.asarray(code)[list(chosen)], chosen)

    def mix(self, style: Latents, rows: Sequence[int]) -> None:
        """Take `rows` of w+ from other latents (Karras et al. 2019, section 3.1)."""
        self.apply(self.mixed(style, rows))

    def dragging(
        self, points: Any, targets: Any, mask: Any = None, *, rate: float = drags.RATE
    ) -> Drag:
        """A drag to be made step by step: `step()`, `points`, `arrived`, then `keep` it.

        Args:
            points: [n, 2], x and y in px of the full picture.
            targets: [n, 2], where they are to go.
            mask: [m, m] in [0, 1], 1 where the picture may move; None: everywhere.
            rate: of Adam.

        Raises:
            ValueError: before anything is compiled, for points outside of the picture, unequal or
                too many ones, and for a mask that hides everything.
        """
        return drags.Drag(
            self.gen, self.params, self.latents, (points, targets), mask=mask, rate=rate
        )

    def drag(
        self,
        points: Any,
        targets: Any,
        mask: Any = None,
        *,
        steps: int = drags.STEPS,
        rate: float = drags.RATE,
    ) -> Drag:
        """Drag points to targets until all have arrived, for at most `steps`; errors as above.

        Returns the drag, which says where its points are and how far from their targets.
        """
        check_whole("steps", steps, 1)
        return self._run(self.dragging(points, targets, mask, rate=rate), steps)

    def painting(self, colours: Any, mask: Any, *, edges: bool = False) -> Paint:
        """A painting to be made step by step: `step()`, then `keep` it.

        Args:
            colours: uint8 [n, n, 3], of which count those inside of the mask.
            mask: [m, m] in [0, 1], 1 where something was painted.
            edges: the edges of what was painted count, too.

        Raises:
            ValueError: other shapes and types, or a mask that hides everything.
        """
        check_mask(mask, "mask")
        paints.check_colours(colours)
        if self.nets is None or not set(paints.net_names(self.gen)) <= set(self.nets):
            self.nets = {**load_features(paints.net_names(self.gen)), **(self.nets or {})}
        weights = NetworkParams(self.params, self.nets)
        return paints.Paint(self.gen, weights, self.latents, colours, mask, edges=edges)

    def paint(
        self, colours: Any, mask: Any, *, edges: bool = False, steps: int = paints.STEPS
    ) -> Paint:
        """Find a picture in which the painted colours are, for so many steps; errors as above."""
        check_whole("steps", steps, 1)
        return self._run(self.painting(colours, mask, edges=edges), steps)

    def keep(self, search: Drag | Paint) -> None:
        """Keep what a search has reached as one operation; nothing where it made no step."""
        if search.steps:
            self._keep(search.operation(), search.latents())

    def apply(self, operation: Operation) -> None:
        """Do one operation: a search makes exactly the steps that it says. Errors as above."""
        if isinstance(operation, Move):
            self.move(operation.way, operation.amount, name=operation.name)
        elif isinstance(operation, MixRows):
            code = jnp.asarray(code_at(self.gen, self.params, self.latents, "w+"))
            code = code.at[jnp.asarray(operation.rows)].set(operation.codes)
            self._keep(operation, with_code(self.latents, "w+", code))
        elif isinstance(operation, DragPoints):
            found = operation
            search = self.dragging(found.points, found.targets, found.mask, rate=found.rate)
            self._run(search, found.steps)
        else:
            check_kind("operation", operation, PaintColours)
            search = self.painting(operation.colours, operation.mask, edges=operation.edges)
            self._run(search, operation.steps)

    def fingerprint(self) -> str:
        """The SHA-256 of the latents with which the session began."""
        return fingerprint(self.start)

    def _run(self, search: Any, steps: int) -> Any:
        search.run(steps)
        self.keep(search)
        return search

    def _keep(self, operation: Operation, latents: Latents) -> None:
        del self._done[self._place :], self._reached[self._place + 1 :]
        self._done.append(operation)
        self._reached.append(jax.tree.map(np.asarray, latents))
        self._place += 1
