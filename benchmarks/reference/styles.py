"""Two ways to train in PyTorch: the usual one, and the fastest that is known here."""

import functools
import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.reference import nets

USUAL = "usual"
# What may be fastest: every combination is tried. All have the images in the device's
# memory and a fused Adam, and none waits for the loss.
ON_CPU = ("eager", "compile", "eager channels_last", "compile channels_last")
ON_CUDA = ("graph", "reduce-overhead", "compile graph", "compile graph channels_last")


def candidates(device: str, is_image_net: bool) -> tuple[str, ...]:
    """The forms among which the fastest is looked for."""
    forms = ON_CUDA if device == "cuda" else ON_CPU
    return tuple(f for f in forms if is_image_net or "channels_last" not in f)


def usual(net: nets.Net, data: tuple[Tensor, ...], batch_size: int, lr: float):
    """A step as in most tutorials: a DataLoader, and a loss that is added up."""
    device = net.weight.device
    loader = DataLoader(TensorDataset(*data), batch_size, shuffle=True, drop_last=True)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    total = 0.0

    def step() -> None:
        nonlocal total
        batch = [tensor.to(device) for tensor in next(batches)]
        optimizer.zero_grad()
        loss = nets.loss(net, *batch)
        loss.backward()
        optimizer.step()
        total += loss.item()

    return step


def best(
    net: nets.Net, data: tuple[Tensor, ...], batch_size: int, lr: float, form: str
) -> Callable[[], None]:
    """A step in one of the forms of ``candidates``."""
    device, words = net.weight.device, form.split()
    layout = torch.contiguous_format
    if "channels_last" in words:
        layout = torch.channels_last
        net.to(memory_format=layout)
    data = tuple(tensor.to(device) for tensor in data)
    loss_of = functools.partial(nets.loss, net)
    if "compile" in words:
        loss_of = torch.compile(loss_of)
    if "reduce-overhead" in words:
        loss_of = torch.compile(loss_of, mode="reduce-overhead")
    graph = "graph" in words
    optimizer = torch.optim.Adam(net.parameters(), lr=lr, fused=True, capturable=graph)
    total = torch.zeros((), device=device)

    def of_rows(rows: Tensor) -> None:
        batch = [
            tensor.index_select(0, rows).contiguous(memory_format=layout)
            for tensor in data
        ]
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(*batch)
        loss.backward()
        optimizer.step()
        total.add_(loss.detach())

    order = _orders(len(data[0]), batch_size, device)
    if graph:
        of_rows = _captured(of_rows, next(order))
    return lambda: of_rows(next(order))


def _orders(num: int, batch_size: int, device: torch.device) -> Iterator[Tensor]:
    """The rows of batch after batch, epoch after epoch."""
    while True:
        rows = torch.randperm(num, device=device)
        yield from rows[: num - num % batch_size].split(batch_size)


def _captured(of_rows: Callable[[Tensor], None], rows: Tensor):
    """The whole step, Adam included, as one CUDA graph."""
    rows = rows.clone()
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # what is set up on a first call must not be captured
            of_rows(rows)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        of_rows(rows)

    def step(new: Tensor) -> None:
        rows.copy_(new)
        graph.replay()

    return step
