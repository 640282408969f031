"""One of the workers that train a small net together, as a program.

`start` starts all of them on this machine, each a process of its own.
"""

import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve()
COUNT = 75
"""Images: the last batch of 32 has eleven, which two cannot share evenly."""


def make_net():
    """Returns a net without batch norm and dropout, with KURE."""
    import numpy as np

    from kure_tf import regularize_kurtosis
    from kure_tf.compat import keras

    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(4, activation="relu"),
            layers.Dense(3),
        ]
    )
    random = np.random.default_rng(0)
    net.set_weights([random.normal(0, 0.3, w.shape) for w in net.get_weights()])
    return regularize_kurtosis(net, coefficient=0.5, verbose=False)


def recipe():
    """Returns how it is trained: two epochs of three steps."""
    from fit_case import RECIPE

    return dataclasses.replace(RECIPE, epochs=2, learning_rate=0.01)


def start(workdir, keras, *, killed=None):
    """Starts two workers; returns their processes.

    Args:
        workdir: Folder of the checkpoint; each leaves weights<index>.npz.
        keras: "0" for Keras 3, "1" for tf_keras.
        killed: Which of them kills itself in the middle of the second epoch.
    """
    cluster = {"worker": [f"localhost:{_free_port()}" for _ in range(2)]}
    return [
        subprocess.Popen(
            [sys.executable, str(HERE), str(workdir), str(index == killed)],
            env={
                **os.environ,
                "TF_CONFIG": json.dumps(
                    {
                        "cluster": cluster,
                        "task": {"type": "worker", "index": index},
                    }
                ),
                "TF_USE_LEGACY_KERAS": keras,
                "CUDA_VISIBLE_DEVICES": "-1",
                "PYTHONPATH": os.pathsep.join(sys.path),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]


def _free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _killer():
    from fit_case import Killer

    class Kill(Killer):
        def on_train_batch_end(self, batch, logs=None):
            if self._here and batch == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    return Kill(1)


def main(workdir, killed):
    import numpy as np

    from kure_tf import runs

    strategy = runs.strategy_named("multi_worker")
    from fit_case import make_dataset

    from kure_tf.training import fit

    net = make_net()
    fit(
        net,
        make_dataset(COUNT),
        recipe(),
        strategy=strategy,
        workdir=workdir,
        callbacks=[_killer()] if killed == "True" else (),
        verbose=0,
    )
    index = strategy.cluster_resolver.task_id
    np.savez(pathlib.Path(workdir) / f"weights{index}.npz", *net.get_weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
