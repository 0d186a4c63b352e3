# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Networks with the names and the arithmetic of the authors' CIFAR models.

Written anew, and small: what counts is which weight is called what, and that
the logits are those of mmrmix's networks after the conversion.
"""

import torch
import torch.nn.functional as F
from torch import nn


def conv(in_channels, out_channels, size, stride=1):
    return nn.Conv2d(in_channels, out_channels, size, stride, size // 2, bias=False)


class Named(nn.Module):
    """A module whose children have the names that are given."""

    def __init__(self, **children):
        super().__init__()
        for name, child in children.items():
            self.add_module(name, child)


class Residual(Named):
    def __init__(self, in_channels, width, stride, bottleneck):
        sizes, widths = ((1, 3, 1), (width, width, 4 * width)) if bottleneck else ((3, 3), (width, width))
        strides = (1, stride, 1) if bottleneck else (stride, 1)
        layers, channels = [], in_channels
        for size, out, step in zip(sizes, widths, strides):
            layers += [conv(channels, out, size, step), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        shortcut = nn.Sequential()
        if stride > 1 or in_channels != channels:
            shortcut = nn.Sequential(conv(in_channels, channels, 1, stride), nn.BatchNorm2d(channels))
        super().__init__(residual_function=nn.Sequential(*layers[:-1]), shortcut=shortcut)
        self.out_channels = channels

    def forward(self, x):
        return F.relu(self.residual_function(x) + self.shortcut(x))


class OfficialResNet(Named):
    """Four stages of blocks, 64 to 512 channels."""

    def __init__(self, depths, bottleneck=False, num_classes=10):
        stages, channels = {}, 64
        for i, depth in enumerate(depths):
            blocks = []
            for j in range(depth):
                blocks.append(Residual(channels, 64 * 2**i, 2 if i and not j else 1, bottleneck))
                channels = blocks[-1].out_channels
            stages[f'conv{i + 2}_x'] = nn.Sequential(*blocks)
        stem = nn.Sequential(conv(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU())
        super().__init__(
            conv1=stem, **stages, fc=nn.Linear(channels, num_classes), fc_roi=nn.Linear(channels, num_classes)
        )

    def forward(self, x):
        x = self.conv1(x)
        for i in range(2, 6):
            x = getattr(self, f'conv{i}_x')(x)
        return self.fc(x.mean((2, 3)))


class Dense(Named):
    def __init__(self, channels, growth):
        layers = [nn.BatchNorm2d(channels), nn.ReLU(), conv(channels, 4 * growth, 1)]
        layers += [nn.BatchNorm2d(4 * growth), nn.ReLU(), conv(4 * growth, growth, 3)]
        super().__init__(bottle_neck=nn.Sequential(*layers))


class OfficialDenseNet(Named):
    def __init__(self, depths, growth, num_classes=10):
        features, channels, last = nn.Sequential(), 2 * growth, len(depths) - 1
        for i, depth in enumerate(depths):
            block = nn.Sequential()
            for j in range(depth):
                block.add_module(f'bottle_neck_layer_{j}', Dense(channels, growth))
                channels += growth
            features.add_module(f'dense_block_layer_{i}' if i < last else f'dense_block{i}', block)
            if i < last:
                layers = [nn.BatchNorm2d(channels), conv(channels, channels // 2, 1), nn.AvgPool2d(2)]
                features.add_module(f'transition_layer_{i}', Named(down_sample=nn.Sequential(*layers)))
                channels //= 2
        features.add_module('bn', nn.BatchNorm2d(channels))
        super().__init__(
            conv1=conv(3, 2 * growth, 3),
            features=features,
            linear=nn.Linear(channels, num_classes),
            linear_roi=nn.Linear(channels, num_classes),
        )

    def forward(self, x):

        x = self.conv1(x)
        for name, part in self.features.named_children():
            if name.startswith('dense_block'):
                for layer in part:
                    x = torch.cat([x, layer.bottle_neck(x)], 1)
            else:
                x = part.down_sample(x) if name.startswith('transition') else F.relu(part(x))
        return self.linear(x.mean((2, 3)))


class Pyramid(Named):
    def __init__(self, in_channels, width, stride):
        super().__init__(
            bn1=nn.BatchNorm2d(in_channels), conv1=conv(in_channels, width, 1),
            bn2=nn.BatchNorm2d(width), conv2=conv(width, width, 3, stride),
            bn3=nn.BatchNorm2d(width), conv3=conv(width, 4 * width, 1), bn4=nn.BatchNorm2d(4 * width),
        )  # fmt: skip
        self.stride, self.out_channels = stride, 4 * width

    def forward(self, x):
        out = self.conv1(self.bn1(x))
        out = self.conv2(F.relu(self.bn2(out)))
        out = self.bn4(self.conv3(F.relu(self.bn3(out))))
        x = F.avg_pool2d(x, 2) if self.stride > 1 else x
        out[:, : x.shape[1]] += x
        return out


class OfficialPyramidNet(Named):
    def __init__(self, depth, alpha, num_classes=10):
        num_blocks, channels, width, stages = (depth - 2) // 9, 16, 16.0, {}
        for i in range(3):
            blocks = []
            for j in range(num_blocks):
                width += alpha / (3 * num_blocks)
                blocks.append(Pyramid(channels, round(width), 2 if i and not j else 1))
                channels = blocks[-1].out_channels
            stages[f'layer{i + 1}'] = nn.Sequential(*blocks)
        super().__init__(
            conv1=conv(3, 16, 3), bn1=nn.BatchNorm2d(16), **stages, bn_final=nn.BatchNorm2d(channels),
            fc=nn.Linear(channels, num_classes), fc_roi=nn.Linear(channels, num_classes),
        )  # fmt: skip

    def forward(self, x):
        x = self.bn1(self.conv1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(F.relu(self.bn_final(x)).mean((2, 3)))
