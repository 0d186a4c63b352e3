# Small detectors and segmentors on fashion scenes (tools/dataset_tools/
# make_fashion_scenes.py): minutes on a CPU core. What is common to all of them.
scenes_root = 'data/fashion_scenes/'
classes = ('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot')
# matplotlib's tab10; the background is black.
palette = [
    (31, 119, 180), (255, 127, 14), (44, 160, 44), (214, 39, 40), (148, 103, 189),
    (140, 86, 75), (227, 119, 194), (127, 127, 127), (188, 189, 34), (23, 190, 207),
]  # fmt: skip

fashion_scenes = dict(
    model=dict(
        # As in the pretraining.
        data_preprocessor=dict(mean=[72.94, 72.94, 72.94], std=[90.02, 90.02, 90.02]),
        # ResNet-18 of 16, 32, 64 and 128 channels. Nothing is frozen: training
        # from scratch differs in nothing but the start.
        backbone=dict(
            depth=18,
            stem_channels=16,
            base_channels=16,
            frozen_stages=-1,
            norm_eval=False,
            init_cfg=dict(checkpoint='work_dirs/resnet18-slim_1xb64_fashion-mnist/epoch_4.pth'),
        ),
    ),
    optim_wrapper=dict(
        _delete_=True,
        type='OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.01),
        clip_grad=dict(max_norm=10),
    ),
    default_hooks=dict(checkpoint=dict(max_keep_ckpts=2)),
    randomness=dict(seed=0),
)
