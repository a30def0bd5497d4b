// Allocates memory of the first GPU until only as many MiB are free as its argument says, prints how
// many are, and holds the memory until its input ends.
#include <cstdio>
#include <cstdlib>
#include <cuda_runtime.h>

int main(int argc, char **argv) {
    const size_t leave = strtoull(argc > 1 ? argv[1] : "0", nullptr, 10) << 20;
    size_t available = 0, total = 0, chunk = size_t(1) << 30;
    while (cudaMemGetInfo(&available, &total) == cudaSuccess && chunk >= (size_t(2) << 20)) {
        void *memory = nullptr;
        if (available < leave + chunk || cudaMalloc(&memory, chunk) != cudaSuccess) {
            cudaGetLastError();
            chunk /= 2;
        }
    }
    printf("%zu\n", available >> 20);
    fflush(stdout);
    while (getchar() != EOF) {
    }
    return 0;
}
