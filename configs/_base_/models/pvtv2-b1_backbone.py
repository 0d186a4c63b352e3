# PVTv2-B1 as the backbone of detectors and segmentors, for configs to take:
# `backbone=dict(_delete_=True, **_base_.pvtv2_b1)`.
pvtv2_b1 = dict(
    type='mmrmix.PyramidVisionTransformerV2',
    embed_dims=64,
    num_layers=[2, 2, 2, 2],
    init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/pvtv2-b1_8xb64_imagenet/epoch_300.pth'),
)
pvtv2_b1_channels = [64, 128, 320, 512]
