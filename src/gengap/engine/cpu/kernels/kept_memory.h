// Memory for the maps of a step: what one step gives back, the next one takes again.
//
// The C library returns blocks of this size to the system, which clears every page before it hands it out once more:
// half the time of a step of LeNet-5 with 1,024 samples. Pages of 2 MiB, where the system has them, save lookups of
// addresses.
#pragma once
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <vector>

extern "C" int omp_get_thread_num();  // a compiler may have OpenMP without its header

namespace gengap {

constexpr size_t HUGE_PAGE = size_t(1) << 21;
constexpr size_t LEAST_KEPT = 5;  // blocks: of large ones a step has no more in use at once
constexpr size_t MOST_KEPT = size_t(1) << 27;  // bytes of more blocks than these

struct Block {
    float* start;
    size_t bytes;
};

class KeptMemory {
public:
    // A block that holds so many numbers, at most half of it spare.
    Block take(int64_t count) {
        const size_t bytes = std::max((size_t(count) * sizeof(float) + HUGE_PAGE - 1) / HUGE_PAGE, size_t(1)) * HUGE_PAGE;
        {
            const std::lock_guard<std::mutex> guard(mutex);
            for (auto block = free_blocks.rbegin(); block != free_blocks.rend(); ++block)
                if (block->bytes >= bytes && block->bytes / 2 <= bytes) {
                    const Block found = *block;
                    free_blocks.erase(std::next(block).base());
                    free_bytes -= found.bytes;
                    return found;
                }
        }
        void* start = std::aligned_alloc(HUGE_PAGE, bytes);
        // In the words of PyTorch's own allocator, by which training knows that a part of the pack may still fit.
        if (start == nullptr) throw std::runtime_error("can't allocate memory for the maps of a step");
#ifdef MADV_HUGEPAGE
        madvise(start, bytes, MADV_HUGEPAGE);
#endif
        return {static_cast<float*>(start), bytes};
    }

    // The blocks that have lain here longest go back to the system where there are too many.
    void give_back(Block block) {
        const std::lock_guard<std::mutex> guard(mutex);
        free_blocks.push_back(block);
        free_bytes += block.bytes;
        while (free_blocks.size() > LEAST_KEPT && free_bytes > MOST_KEPT) {
            std::free(free_blocks.front().start);
            free_bytes -= free_blocks.front().bytes;
            free_blocks.erase(free_blocks.begin());
        }
    }

private:
    std::mutex mutex;
    std::vector<Block> free_blocks;
    size_t free_bytes = 0;
};

inline KeptMemory& kept_memory() {
    static KeptMemory& memory = *new KeptMemory;  // never destroyed: tensors may outlive other statics
    return memory;
}

// So many numbers, given back at the end of the scope. Not for use inside of a parallel region, which no error may leave.
struct Scratch {
    const Block block;
    explicit Scratch(int64_t count) : block(kept_memory().take(count)) {}
    Scratch(const Scratch&) = delete;
    ~Scratch() { kept_memory().give_back(block); }
};

}  // namespace gengap
