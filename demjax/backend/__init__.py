"""What depends on the device: how work is spread over devices, blocks that fit caches, memory.

Every choice that a CPU, a GPU or a TPU makes differently belongs here, and nothing else knows which
device it runs on. What clients, groups or algorithms are does not belong here.
"""
