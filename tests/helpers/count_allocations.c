/* Counts what a process asks the C library for; preloaded. `allocations()` tells how often so far. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>

static atomic_long count;

long allocations(void) { return count; }

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) { return count++, __libc_malloc(size); }
void* calloc(size_t n, size_t size) { return count++, __libc_calloc(n, size); }
void* realloc(void* p, size_t size) { return count++, __libc_realloc(p, size); }
void* memalign(size_t alignment, size_t size) { return count++, __libc_memalign(alignment, size); }
void* aligned_alloc(size_t alignment, size_t size) { return count++, __libc_memalign(alignment, size); }
int posix_memalign(void** p, size_t alignment, size_t size) {
  *p = (count++, __libc_memalign(alignment, size));
  return *p ? 0 : 12;
}
