# Table 2, "RS + HIS": mixed with history, without consistency loss.
# With it ("RS + HIS + CL") it is rm/pyramidnet164-a270_2xb64_cifar100.py.
_base_ = ['../rm/pyramidnet164-a270_2xb64_cifar100.py']

model = dict(head=dict(omega=0))
