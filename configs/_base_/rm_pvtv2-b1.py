# PVTv2-B1 pretrained with RecursiveMix in place of a ResNet-50. Its four stages
# have 64, 128, 320 and 512 channels.
rm_pvtv2_b1 = dict(
    model=dict(
        backbone=dict(
            _delete_=True,
            type='mmrmix.PyramidVisionTransformerV2',
            embed_dims=64,
            num_layers=[2, 2, 2, 2],
            init_cfg=dict(type='mmrmix.PretrainedBackbone', checkpoint='work_dirs/pvtv2-b1_8xb64_imagenet/best_*.pth'),
        )
    )
)
