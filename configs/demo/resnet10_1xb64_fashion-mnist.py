# The quick start: RecursiveMix on Fashion-MNIST, `make demo`.
_base_ = ['resnet10_1xb64-baseline_fashion-mnist.py', '../_base_/rm.py']
_base_.merge(_base_.pop('rm'))

model = dict(head=dict(cal_acc=True))
log_processor = dict(custom_cfg=[dict(data_src='accuracy_top-1', method_name='mean', window_size=100)])
