"""lava-dl's .net files, written here."""

import h5py
import numpy as np

CUBA = {"type": "CUBA", "iDecay": 1024, "vDecay": 410, "vThMant": 40, "refDelay": 1, "gradedSpike": False}
SDNN = {"type": "SDNN", "vThMant": 1, "refDelay": 1}


def net(path, layers):
    """A .net file of layers, each a dictionary; `neuron` is one of its own."""
    with h5py.File(path, "w") as file:
        for i, layer in enumerate(layers):
            group = file.create_group(f"layer/{i}")
            neuron = group.create_group("neuron") if "neuron" in layer else None
            for key, value in layer.items():
                if key == "type":
                    group["type"] = np.array([value.encode()], "S10")
                elif key != "neuron":
                    group[key] = value
            for key, value in layer.get("neuron", {}).items():
                neuron[key] = value.encode() if isinstance(value, str) else value
    return path
