"""A mapped network on SANA-FE with its own Loihi table; runs in SANA-FE's environment, not in astrodeploy's.

    python sanafe_side.py mapped.npz result.json [result_messages.npz]

mapped.npz holds `plan`, a JSON text, and arrays:

    plan["inputs"]       name; arrays spikes_NAME (steps, neurons), cores_NAME (neurons,)
    plan["populations"]  name, leak (what of v stays after a step), threshold, encoding (dense, sparse or conv);
                         arrays cores_NAME (neurons,). LIF neurons with a decayed current, no bias, reset to 0
    plan["connections"]  name, source, target; array weights_NAME (sources, targets), or sources_NAME,
                         targets_NAME and weights_NAME, one entry a synapse
    plan["models"]       timing models to run, each on a chip loaded anew

A core's number is 4 * tile + its place in the tile. Weights and thresholds are in units of 64 of the chip's own
membrane, which is the grid that SANA-FE keeps. The result holds joules by part, spikes by population, seconds of
every step by timing model, and wall seconds of build, load and simulation.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import sanafe

SYNAPSES = {"dense": "loihi_dense_synapse", "sparse": "loihi_sparse_synapse", "conv": "loihi_conv_synapse"}
MESSAGE_FIELDS = (
    "timestep", "src_core_id", "dest_core_id", "hops", "spikes",
    "generation_delay", "processing_delay", "network_delay", "blocking_delay",
    "sent_timestamp", "received_timestamp", "processed_timestamp",
)  # fmt: skip


def main() -> None:
    """Run every timing model that the plan names."""
    with np.load(sys.argv[1]) as file:
        arrays = dict(file)
    plan = json.loads(str(arrays["plan"]))
    start = time.perf_counter()
    arch = sanafe.load_loihi()
    network = built(arch, plan, arrays)
    result = {"wall": {"build": time.perf_counter() - start}, "models": {}}
    messages = sys.argv[3] if len(sys.argv) > 3 else None
    for model in plan["models"]:
        result["models"][model] = simulated(arch, network, plan, arrays, model, messages)
    Path(sys.argv[2]).write_text(json.dumps(result))


def built(arch, plan, arrays):
    """The network, its neurons mapped to the cores that the plan says."""
    network = sanafe.Network()
    groups = {each["name"]: inputs(network, each, arrays) for each in plan["inputs"]}
    groups |= {each["name"]: neurons(network, each, arrays) for each in plan["populations"]}
    for each in plan["connections"]:
        connect(groups[each["source"]], groups[each["target"]], each["name"], arrays)
    on_core = {}
    for name, group in groups.items():
        for i, core in enumerate(arrays[f"cores_{name}"].tolist()):
            if core not in on_core:
                on_core[core] = arch.tiles[core // 4].cores[core % 4]
            group[i].map_to_core(on_core[core])
    return network


def inputs(network, each, arrays):
    """Input neurons that send what is given; every one has an input unit of its own on its core."""
    name = each["name"]
    spikes, cores = arrays[f"spikes_{name}"].astype(bool), arrays[f"cores_{name}"]
    group = network.create_neuron_group(name, spikes.shape[1], default_dendrite_hw_name="loihi_dendrites")
    used = {}
    for i, core in enumerate(cores.tolist()):
        used[core] = used.get(core, -1) + 1
        group[i].set_attributes(
            soma_hw_name=f"loihi_inputs[{used[core]}]",
            model_attributes={"spikes": spikes[:, i].tolist()},
            log_spikes=True,
        )
    return group


def neurons(network, each, arrays):
    """LIF neurons of one population."""
    return network.create_neuron_group(
        each["name"],
        len(arrays[f"cores_{each['name']}"]),
        model_attributes={
            "threshold": each["threshold"],
            "leak_decay": each["leak"],
            "input_decay": 0.0,
            "reset": 0.0,
            "reset_mode": "hard",
        },
        default_synapse_hw_name=SYNAPSES[each["encoding"]],
        default_dendrite_hw_name="loihi_dendrites",
        soma_hw_name="loihi_lif",
        log_spikes=True,
    )


def connect(source, target, name, arrays):
    """All synapses of a connection."""
    weights = arrays[f"weights_{name}"].astype(float)
    if f"sources_{name}" not in arrays:
        source.connect_neurons_dense(target, {"weight": weights.ravel().tolist()})
        return
    pairs = list(zip(arrays[f"sources_{name}"].tolist(), arrays[f"targets_{name}"].tolist(), strict=True))
    source.connect_neurons_sparse(target, {"weight": weights.tolist()}, pairs)


def simulated(arch, network, plan, arrays, model, messages):
    """One run from rest: what it cost, and what it took here."""
    steps = len(arrays[f"spikes_{plan['inputs'][0]['name']}"])
    start = time.perf_counter()
    chip = sanafe.SpikingChip(arch)
    chip.load(network)
    loaded = time.perf_counter()
    run = chip.sim(steps, timing_model=model)
    done = time.perf_counter()
    chip = sanafe.SpikingChip(arch)
    chip.load(network)
    traced = chip.sim(
        steps, timing_model=model, spike_trace=True, perf_trace=True, message_trace=messages is not None
    )
    if messages is not None:
        save_messages(messages.replace(".npz", f"_{model}.npz"), traced["message_trace"])
    return {
        "wall": {"load": loaded - start, "simulate": done - loaded},
        "energy": run["energy"],
        "seconds": run["sim_time"],
        "step_seconds": traced["perf_trace"]["sim_time"],
        "step_energy": traced["perf_trace"]["total_energy"],
        "synaptic_operations": run["spikes"],
        "messages": run["packets_sent"],
        "updated": run["neurons_updated"],
        "spikes": spikes_by_population(plan, traced["spike_trace"]),
    }


def spikes_by_population(plan, trace):
    """How often each population fired."""
    names = [each["name"] for each in plan["inputs"] + plan["populations"]]
    fired = dict.fromkeys(names, 0)
    for step in trace:
        for neuron in step:
            fired[neuron.group_name] += 1
    return fired


def save_messages(path, trace):
    """The fields of every message that was sent to a core."""
    rows = [m for step in trace for m in step]
    table = {
        field: np.array([m[field] for m in rows]) for field in MESSAGE_FIELDS if field in (rows or [{}])[0]
    }
    np.savez(path, **table)


if __name__ == "__main__":
    main()
