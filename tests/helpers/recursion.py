# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""RecursiveMix on the small Fashion-MNIST, as the paper writes it, in NumPy."""

from math import sqrt

import numpy as np

from mmrmix.contrib.cli.cfg_options import read_classifier_config
from tests.helpers.paths import ROOT


def demo(what=''):
    return str(ROOT / f'configs/demo/resnet10_1xb64{what}_fashion-mnist.py')


def plain(data, what='', **options):
    """Config of a demo on small data that are neither shuffled, cropped nor flipped."""
    return read_classifier_config(
        demo(what),
        {
            'train_dataloader.dataset.data_root': str(data),
            'train_dataloader.sampler.shuffle': False,
            'data_preprocessor.crop_padding': 0,
            'data_preprocessor.flip_prob': 0,
            **options,
        },
    )


def stored(data):
    """Images (200, 28, 28) and labels of the small data set, from its files."""
    images = np.frombuffer((data / 'train-images-idx3-ubyte').read_bytes()[16:], np.uint8).reshape(-1, 28, 28)
    return images, np.frombuffer((data / 'train-labels-idx1-ubyte').read_bytes()[8:], np.uint8)


def recursion(data, num_iterations, seed=0, alpha=0.5, size=64):
    """RecursiveMix as the paper writes it: (images, mixed, box, labels as dicts) of each iteration."""
    images, labels = stored(data)
    batches_per_epoch = -(-len(images) // size)
    for t in range(num_iterations):
        first = t % batches_per_epoch * size
        if first == 0:
            history = None
        x, y = images[first : first + size], [{int(k): 1.0} for k in labels[first : first + size]]
        random = np.random.Generator(np.random.Philox(counter=[0, t, 0, 0], key=[seed, 0]))
        half = int(28 * sqrt(random.uniform(0, alpha, size=(1, 1))[0, 0])) // 2
        cx, cy = random.integers(0, [28, 28], size=(1, 2))[0]
        x1, x2, y1, y2 = max(cx - half, 0), min(cx + half, 28), max(cy - half, 0), min(cy + half, 28)
        mixed, shares = x.copy(), [dict(share) for share in y]
        if history is not None:
            for i in range(len(x)):
                for row in range(y1, y2):
                    for column in range(x1, x2):
                        source = history[0][i, (row - y1) * 28 // (y2 - y1), (column - x1) * 28 // (x2 - x1)]
                        mixed[i, row, column] = source
                area = (x2 - x1) * (y2 - y1) / 28**2
                shares[i] = {k: area * history[1][i].get(k, 0) for k in history[1][i]}
                for k, share in y[i].items():
                    shares[i][k] = shares[i].get(k, 0) + (1 - area) * share
        box = [0, 0, 0, 0] if history is None else [x1, y1, x2, y2]
        history = mixed, shares
        yield x, mixed, box, shares
