# What the small detectors and segmentors on fashion scenes have in common, for
# configs to take: `backbone=_base_.slim_backbone`.
slim_channels = [16, 32, 64, 128]
slim_backbone = dict(
    depth=18,
    stem_channels=16,
    base_channels=16,
    # Nothing is frozen: training from scratch differs in nothing but the start.
    frozen_stages=-1,
    norm_eval=False,
    init_cfg=dict(checkpoint='work_dirs/resnet18-slim_1xb64_fashion-mnist/epoch_4.pth'),
)
slim_neck = dict(in_channels=slim_channels, out_channels=64)
# As in the pretraining.
slim_data_preprocessor = dict(mean=[72.94, 72.94, 72.94], std=[90.02, 90.02, 90.02])
