"""Several threads work at once, without the interpreter."""

cdef extern from "<pthread.h>" nogil:
    ctypedef unsigned long pthread_t
    ctypedef struct pthread_mutex_t:
        pass
    ctypedef struct pthread_cond_t:
        pass
    int pthread_create(pthread_t *id, const void *attributes, void *(*start)(void *) noexcept nogil, void *argument)
    int pthread_join(pthread_t id, void **result)
    int pthread_mutex_init(pthread_mutex_t *mutex, const void *attributes)
    int pthread_mutex_lock(pthread_mutex_t *mutex)
    int pthread_mutex_unlock(pthread_mutex_t *mutex)
    int pthread_mutex_destroy(pthread_mutex_t *mutex)
    int pthread_cond_init(pthread_cond_t *condition, const void *attributes)
    int pthread_cond_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
    int pthread_cond_broadcast(pthread_cond_t *condition)
    int pthread_cond_destroy(pthread_cond_t *condition)

cdef enum:
    MAX_THREADS = 64

ctypedef void (*Work)(void *job, int number) noexcept nogil

cdef struct Started:
    Work work
    void *job
    int number
    bint runs
    pthread_t id


cdef inline void *start(void *argument) noexcept nogil:
    cdef Started *started = <Started *>argument
    started.work(started.job, started.number)
    return NULL


cdef inline void in_threads(Work work, void *job, int threads) noexcept nogil:
    """Call *work* with *job* and each number below *threads*, which is at most MAX_THREADS, in a thread each.

    The present thread makes the first call, and the calls for which the system gives no thread."""
    cdef Started[MAX_THREADS] started
    cdef Started *each
    cdef int i
    for i in range(1, threads):
        each = &started[i]
        each.work, each.job, each.number = work, job, i
        each.runs = pthread_create(&each.id, NULL, start, each) == 0
    work(job, 0)
    for i in range(1, threads):
        if started[i].runs:
            pthread_join(started[i].id, NULL)
        else:
            work(job, i)
