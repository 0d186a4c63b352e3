# PVTv2-B1, mmdetection's: its four stages have 64, 128, 320 and 512 channels.
# It yields a list, which mmpretrain's necks refuse; RMHead pools by itself, and
# is a plain linear head with omega=0.
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=64, num_layers=[2, 2, 2, 2]),
    neck=None,
    head=dict(
        type='mmrmix.RMHead',
        num_classes=1000,
        in_channels=512,
        omega=0,
        # PVT initialises linear layers this way.
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02),
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original', loss_weight=1.0),
        topk=(1, 5),
    ),
)
