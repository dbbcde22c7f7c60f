"""Train one of the two digit networks, or both, from one seed, on one or two cores in minutes.

Writes NAME.pt, and NAME_train.npz and NAME_test.npz with x as the network takes it and y. The digits are
those of an .npz file with x (n, 28, 28) uint8 and y (n,), the last of which are held back; without one
scikit-learn's, enlarged to 28 x 28.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from model import DT, STEPS, Convolutional, Recurrent, rows
from rich.progress import track

import astrodeploy
from astrodeploy.nn import unroll
from astrodeploy.optional import missing

NETWORKS = {"convolutional": Convolutional, "recurrent": lambda seed: Recurrent()}
EPOCHS = {"convolutional": 16, "recurrent": 30}
HELD_BACK = 2000  # at most, and a quarter of the digits
BATCH = 128
RATE = {"convolutional": 3e-3, "recurrent": 8e-3}
SHARPNESS = {"convolutional": 20.0, "recurrent": 15.0}  # of the softmax over the membranes
SHIFT = 1  # pixels by which training digits are moved around


def digits(path: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 28, 28) in 0..1, and labels."""
    if path is not None:
        with np.load(path, allow_pickle=False) as archive:
            return archive["x"].astype(np.float32) / 255, archive["y"].astype(np.int64)
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise missing(error) or error from None
    x, y = load_digits(return_X_y=True)
    large = np.repeat(np.repeat(x.reshape(-1, 8, 8) / 16, 3, axis=1), 3, axis=2)
    return np.pad(large, ((0, 0), (2, 2), (2, 2))).astype(np.float32), y.astype(np.int64)


def stimulus(name: str, pixels: torch.Tensor) -> torch.Tensor:
    """Pixels (n, 28, 28) as a network takes them: as they are, or as rows of spikes."""
    return pixels[:, None] if name == "convolutional" else rows(pixels)


def read_out(name: str, network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The membranes of the classes after the last step, (n, 10)."""
    if name == "convolutional":
        return unroll(network, x, STEPS)[0][:, -1]
    return unroll(network, x.float())[0][:, -1]


def train(name: str, network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Cross-entropy on the membranes, surrogate gradients, digits moved by up to a pixel."""
    optimiser = torch.optim.Adam(network.parameters(), RATE[name])
    batches = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE[name], epochs * batches)
    for _ in track(range(epochs), name):
        for batch in torch.randperm(len(x)).split(BATCH):
            down, right = (int(n) for n in torch.randint(-SHIFT, SHIFT + 1, (2,)))
            moved = torch.roll(x[batch], (down, right), (1, 2))
            membranes = read_out(name, network, stimulus(name, moved))
            loss = torch.nn.functional.cross_entropy(SHARPNESS[name] * membranes, y[batch])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()


@torch.no_grad()
def accuracy(name: str, network: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> float:
    """Share of digits recognised."""
    right = [
        int((read_out(name, network, stimulus(name, part)).argmax(1) == labels).sum())
        for part, labels in zip(x.split(500), y.split(500), strict=True)
    ]
    return sum(right) / len(x)


def make(name: str, options: argparse.Namespace) -> None:
    """Train a network, say how good it is, and write its files."""
    torch.manual_seed(options.seed)
    pixels, labels = (torch.from_numpy(each) for each in digits(options.data))
    held = min(HELD_BACK, len(pixels) // 4)
    x, test_x, y, test_y = pixels[:-held], pixels[-held:], labels[:-held], labels[-held:]
    network = NETWORKS[name](options.seed)
    train(name, network, x, y, options.epochs or EPOCHS[name])
    print(f"{name}: {accuracy(name, network, test_x, test_y):.2%} of {held} digits held back")
    options.out.mkdir(parents=True, exist_ok=True)
    for part, of_part, classes in (("train", x, y), ("test", test_x, test_y)):
        path = options.out / f"{name}_{part}.npz"
        np.savez_compressed(path, x=stimulus(name, of_part).numpy(), y=classes.numpy())
    path, sample = options.out / f"{name}.pt", stimulus(name, test_x[:4])
    astrodeploy.save(network, path, dt=DT, input_shape=network.input_shape, sample=sample)
    print(f"wrote {path}, and the digits beside it")


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", nargs="*", choices=[[], *NETWORKS], default=[])
    parser.add_argument(
        "--data", type=Path, help="an .npz with x (n, 28, 28) uint8 and y; else scikit-learn's"
    )
    parser.add_argument("-o", "--out", type=Path, default=Path("build/digits"))
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--epochs", type=int, help="passes over the digits")
    options = parser.parse_args()
    for name in options.network or NETWORKS:
        make(name, options)


if __name__ == "__main__":
    main()
