"""Hold memory on GPU 0 and work on it for some seconds, by the CUDA driver alone: `python -m tests.nvml.load 20`."""

import argparse
import ctypes
import time

THREADS = 256
# a kernel that spins until the clock has gone on by 2^28 cycles: about a seventh of a second
PTX = b"""
.version 6.0
.target sm_60
.address_size 64
.visible .entry spin()
{
    .reg .pred %p<2>;
    .reg .b64 %rd<4>;
    mov.u64 %rd1, %clock64;
again:
    mov.u64 %rd2, %clock64;
    sub.u64 %rd3, %rd2, %rd1;
    setp.lt.u64 %p1, %rd3, 268435456;
    @%p1 bra again;
    ret;
}
\x00"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--mib", type=int, default=2048, help="memory to hold")
    parser.add_argument("--blocks", type=int, default=1024, help="thread blocks: 1 works on one SM alone")
    parser.add_argument("--share", type=float, default=1.0, help="of the time to work; 0 only holds the memory")
    chosen = parser.parse_args()
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: object) -> None:
        code = getattr(cuda, name)(*arguments)
        if code:
            raise SystemExit(f"{name} answers {code}")

    device, context = ctypes.c_int(), ctypes.c_void_p()
    module, kernel, held = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_uint64()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuMemAlloc_v2", ctypes.byref(held), ctypes.c_size_t(chosen.mib << 20))
    call("cuModuleLoadData", ctypes.byref(module), PTX)
    call("cuModuleGetFunction", ctypes.byref(kernel), module, b"spin")
    end = time.monotonic() + chosen.seconds
    while time.monotonic() < end:
        begun = time.monotonic()
        if chosen.share:
            call("cuLaunchKernel", kernel, chosen.blocks, 1, 1, THREADS, 1, 1, 0, None, None, None)
            call("cuCtxSynchronize")
            time.sleep((time.monotonic() - begun) * (1 / chosen.share - 1))
        else:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
