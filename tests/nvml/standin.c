/* A libnvidia-ml.so.1 that plays a scenario from a text file (NVML_SCENARIO), so that the real nvidia-ml-py is tested.
 *
 * Each line is `key value`; a value `!N` makes the call return nvmlReturn_t N; a key that is not there answers
 * NOT_SUPPORTED (3). Structures are those of nvml.h. -DOLD_DRIVER leaves out the symbols that old drivers lack.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <time.h>

typedef unsigned int u32;
typedef unsigned long long u64;
typedef void *handle;

#define OK 0
#define INVALID 2
#define UNSUPPORTED 3
#define NOT_FOUND 6
#define SMALL 7

static char keys[2048][96], values[2048][256];
static int lines = -1;

static void load(void) {
    const char *path = getenv("NVML_SCENARIO");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[384];
    lines = 0;
    while (file && fgets(line, sizeof line, file) && lines < 2048) {
        char *blank = strchr(line, ' ');
        if (line[0] == '#' || !blank) continue;
        *blank = 0;
        line[383] = 0;
        blank[1 + strcspn(blank + 1, "\n")] = 0;
        snprintf(keys[lines], 96, "%s", line);
        snprintf(values[lines++], 256, "%s", blank + 1);
    }
    if (file) fclose(file);
}

/* The value of a key, or NULL with the return code in *code. */
static const char *look(int *code, const char *format, ...) {
    char key[96];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(key, sizeof key, format, arguments);
    va_end(arguments);
    if (lines < 0) load();
    for (int i = 0; i < lines; i++)
        if (!strcmp(keys[i], key)) {
            *code = values[i][0] == '!' ? atoi(values[i] + 1) : OK;
            return *code ? NULL : values[i];
        }
    *code = UNSUPPORTED;
    return NULL;
}

/* Handles: GPU i = 1 + i; its MIG device j = 1000 + 100 i + j; its GPU instance id = 100000 + 1000 i + id. */
static const char *prefix(handle h, char *room) {
    long n = (long)h;
    if (n >= 100000) sprintf(room, "gpu%ld.gi%ld", (n - 100000) / 1000, (n - 100000) % 1000);
    else if (n >= 1000) sprintf(room, "gpu%ld.mig%ld", (n - 1000) / 100, (n - 1000) % 100);
    else sprintf(room, "gpu%ld", n - 1);
    return room;
}

static int number(handle h, const char *field, u64 *out) {
    char room[48]; int code;
    const char *text = look(&code, "%s.%s", prefix(h, room), field);
    if (text) *out = strtoull(text, NULL, 0);
    return code;
}
static int word(handle h, const char *field, char *out, u32 size) {
    char room[48]; int code;
    const char *text = look(&code, "%s.%s", prefix(h, room), field);
    if (text) snprintf(out, size, "%s", text);
    return code;
}
#define U32(name, field) int name(handle h, u32 *out) { u64 v; int c = number(h, field, &v); if (!c) *out = (u32)v; return c; }
#define WORD(name, field) int name(handle h, char *out, u32 size) { return word(h, field, out, size); }

int nvmlInitWithFlags(u32 flags) { int c; (void)flags; look(&c, "init"); return c == UNSUPPORTED ? OK : c; }
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int code) { (void)code; return "an error of the stand-in"; }
int nvmlSystemGetDriverVersion(char *out, u32 size) { int c; const char *t = look(&c, "driver"); if (t) snprintf(out, size, "%s", t); return c; }
int nvmlSystemGetNVMLVersion(char *out, u32 size) { int c; const char *t = look(&c, "nvml"); if (t) snprintf(out, size, "%s", t); return c; }
int nvmlSystemGetCudaDriverVersion(int *out) { int c; const char *t = look(&c, "cuda"); if (t) *out = atoi(t); return c; }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { return nvmlSystemGetCudaDriverVersion(out); }
int nvmlDeviceGetCount_v2(u32 *out) { int c; const char *t = look(&c, "count"); if (t) *out = atoi(t); return c; }
int nvmlDeviceGetHandleByIndex_v2(u32 i, handle *out) {
    int c; look(&c, "gpu%u.handle", i);
    if (c == UNSUPPORTED) c = OK;
    *out = (handle)(long)(1 + i);
    return c;
}

typedef struct { u32 environment, feature, tools; } confidential;
int nvmlSystemGetConfComputeState(confidential *out) { int c; const char *t = look(&c, "confidential"); if (t) { memset(out, 0, sizeof *out); out->feature = atoi(t); } return c; }

WORD(nvmlDeviceGetUUID, "uuid") WORD(nvmlDeviceGetName, "name") WORD(nvmlDeviceGetSerial, "serial") WORD(nvmlDeviceGetVbiosVersion, "vbios")
U32(nvmlDeviceGetArchitecture, "architecture") U32(nvmlDeviceGetPerformanceState, "pstate") U32(nvmlDeviceGetPersistenceMode, "persistence")
U32(nvmlDeviceGetComputeMode, "compute_mode") U32(nvmlDeviceGetPowerUsage, "power") U32(nvmlDeviceGetEnforcedPowerLimit, "power_limit")
U32(nvmlDeviceGetPowerManagementDefaultLimit, "power_default") U32(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
U32(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width") U32(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_max_gen") U32(nvmlDeviceGetMaxPcieLinkWidth, "pcie_max_width")
U32(nvmlDeviceGetPcieReplayCounter, "pcie_replays") U32(nvmlDeviceGetRetiredPagesPendingStatus, "retirement_pending")
U32(nvmlDeviceGetVirtualizationMode, "virtualization") U32(nvmlDeviceGetMaxMigDeviceCount, "max_mig") U32(nvmlDeviceGetGpuInstanceId, "gi")
U32(nvmlDeviceGetComputeInstanceId, "ci")
int nvmlDeviceGetTemperature(handle h, int sensor, u32 *out) { (void)sensor; u64 v; int c = number(h, "temperature", &v); if (!c) *out = v; return c; }
int nvmlDeviceGetClockInfo(handle h, int kind, u32 *out) { u64 v; int c = number(h, kind == 2 ? "clock_memory" : "clock_sm", &v); if (!c) *out = v; return c; }
int nvmlDeviceGetMaxClockInfo(handle h, int kind, u32 *out) { u64 v; int c = number(h, kind == 2 ? "clock_max_memory" : "clock_max_sm", &v); if (!c) *out = v; return c; }
int nvmlDeviceGetCurrentClocksThrottleReasons(handle h, u64 *out) { return number(h, "throttle", out); }
int nvmlDeviceGetPowerManagementLimitConstraints(handle h, u32 *low, u32 *high) { u64 v; int c = number(h, "power_max", &v); if (!c) { *low = 0; *high = v; } return c; }
int nvmlDeviceGetCudaComputeCapability(handle h, int *major, int *minor) { char t[16]; int c = word(h, "capability", t, 16); if (!c) sscanf(t, "%d.%d", major, minor); return c; }
int nvmlDeviceGetEccMode(handle h, u32 *now, u32 *pending) { u64 v; int c = number(h, "ecc", &v); if (!c) *now = *pending = v; return c; }
int nvmlDeviceGetMigMode(handle h, u32 *now, u32 *pending) { char t[16]; int c = word(h, "mig_mode", t, 16); if (!c) sscanf(t, "%u %u", now, pending); return c; }

typedef struct { char legacy[16]; u32 domain, bus, device, id, subsystem; char bus_id[32]; } pci_info;
int nvmlDeviceGetPciInfo_v3(handle h, pci_info *out) { memset(out, 0, sizeof *out); return word(h, "pci", out->bus_id, 32); }

typedef struct { u64 total, free, used; } memory;
int nvmlDeviceGetMemoryInfo(handle h, memory *out) {
    u64 total, used; int c = number(h, "memory_total", &total);
    if (c || (c = number(h, "memory_used", &used))) return c;
    *out = (memory){total << 20, (total - used) << 20, used << 20};
    return OK;
}
#ifndef OLD_DRIVER
typedef struct { u32 version; u64 total, reserved, free, used; } memory_v2;
int nvmlDeviceGetMemoryInfo_v2(handle h, memory_v2 *out) {
    u64 total, used, reserved = 0; int c = number(h, "memory_total", &total);
    if (c || (c = number(h, "memory_used", &used))) return c;
    number(h, "memory_reserved", &reserved);
    out->total = total << 20; out->used = used << 20; out->reserved = reserved << 20; out->free = (total - used - reserved) << 20;
    return OK;
}
U32(nvmlDeviceGetNumaNodeId, "numa")
int nvmlDeviceGetCurrentClocksEventReasons(handle h, u64 *out) { return number(h, "throttle", out); }
int nvmlDeviceGetRemappedRows(handle h, u32 *a, u32 *b, u32 *c, u32 *d) { char t[48]; int code = word(h, "remapped", t, 48); if (!code) sscanf(t, "%u %u %u %u", a, b, c, d); return code; }
#endif

typedef struct { u32 gpu, memory; } rates;
int nvmlDeviceGetUtilizationRates(handle h, rates *out) { char t[32]; int c = word(h, "utilization", t, 32); if (!c) sscanf(t, "%u %u", &out->gpu, &out->memory); return c; }
int nvmlDeviceGetTotalEccErrors(handle h, int error, int counter, u64 *out) { char f[32]; sprintf(f, "ecc_errors%d%d", error, counter); return number(h, f, out); }
int nvmlDeviceGetRetiredPages(handle h, int cause, u32 *count, u64 *pages) {
    char f[32]; u64 n; sprintf(f, "retired%d", cause);
    int c = number(h, f, &n); if (c) return c;
    if (pages) for (u64 i = 0; i < n; i++) pages[i] = i;
    *count = n; return OK;
}

int nvmlDeviceGetActiveVgpus(handle h, u32 *count, u32 *out) {
    u64 n; int c = number(h, "vgpus", &n); if (c) return c;
    int small = *count < n; for (u64 i = 0; out && i < n && i < *count; i++) out[i] = 100 + i;
    *count = n; return small ? SMALL : OK;
}

typedef struct { u64 time; union { double d; u32 u; u64 ull; } value; } sample;
int nvmlDeviceGetSamples(handle h, int kind, u64 since, int *type, u32 *count, sample *out) {
    char f[32], t[256]; (void)since; sprintf(f, "samples%d", kind);
    int c = word(h, f, t, 256); if (c) return c;
    u32 n = 0; *type = 1;
    for (char *part = strtok(t, " "); part; part = strtok(NULL, " "), n++)
        if (out && n < *count) { out[n].time = 1000000ull * (n + 1); out[n].value.u = atoi(part); }
    *count = n; return OK;
}

typedef struct { u32 pid; u64 memory; u32 gi, ci; } process;
static int processes(handle h, const char *kind, u32 *count, process *out) {
    char room[48]; int code; u32 n = 0;
    const char *text = look(&code, "%s.%s0", prefix(h, room), kind);
    if (code && code != UNSUPPORTED) return code;
    for (; text; n++, text = look(&code, "%s.%s%u", prefix(h, room), kind, n))
        if (out && n < *count) {
            unsigned long long mib; process p = {0, 0, 0xFFFFFFFF, 0xFFFFFFFF};
            sscanf(text, "%u %llu %u %u", &p.pid, &mib, &p.gi, &p.ci);
            p.memory = mib << 20; out[n] = p;
        }
    int small = n > *count; *count = n;
    return small ? SMALL : OK;
}
#ifndef OLD_DRIVER
int nvmlDeviceGetComputeRunningProcesses_v3(handle h, u32 *n, process *p) { return processes(h, "process", n, p); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(handle h, u32 *n, process *p) { return processes(h, "graphics", n, p); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(handle h, u32 *n, process *p) { return processes(h, "mps", n, p); }
#endif
typedef struct { u32 pid; u64 time; u32 sm, memory, encoder, decoder; } busy;
/* gpuN.busyI = `pid sm`, or `pid sm age`: told only to who asks for more than the last age seconds. */
int nvmlDeviceGetProcessUtilization(handle h, busy *out, u32 *count, u64 since) {
    char room[48]; int code; u32 n = 0; u64 now = (u64)time(NULL) * 1000000;
    const char *text = look(&code, "%s.busy0", prefix(h, room));
    if (!text) return code == UNSUPPORTED ? NOT_FOUND : code;
    for (u32 i = 1; text; text = look(&code, "%s.busy%u", prefix(h, room), i++)) {
        busy one = {0, now, 0, 0, 0, 0}; double age = 0;
        sscanf(text, "%u %u %lf", &one.pid, &one.sm, &age);
        if (age && since > now - age * 1e6) continue;
        if (out && n < *count) out[n] = one;
        n++;
    }
    if (!n) return NOT_FOUND;
    int small = !out; *count = n;
    return small ? SMALL : OK;
}

/* Counters (GPM): gpuN.gpm 1 = there are some; gpuN.gpmID or gpuN.giI.gpmID = the value of a metric, `!R` = its return code.
 * A sample is the device it was taken of; they are counted, so that one never freed is seen (gpm_samples_left). */
#ifndef OLD_DRIVER
typedef struct { handle device; } gpm_sample;
static int samples_left = 0;
int nvmlGpmQueryDeviceSupport(handle h, u32 *out) { u64 v; int c = number(h, "gpm", &v); if (!c) out[1] = v; return c; }
int nvmlGpmSampleAlloc(gpm_sample **out) { *out = calloc(1, sizeof **out); samples_left++; return OK; }
int nvmlGpmSampleFree(gpm_sample *sample) {
    free(sample);
    const char *file = getenv("NVML_SAMPLES_LEFT"); FILE *out;
    samples_left--;
    if (file && (out = fopen(file, "w"))) { fprintf(out, "%d", samples_left); fclose(out); }
    return OK;
}
static int gpm_take(handle h, gpm_sample *sample) {
    char room[48]; int c; look(&c, "%s.gpm_sample", prefix(h, room));
    sample->device = h;
    return c == UNSUPPORTED ? OK : c;
}
int nvmlGpmSampleGet(handle h, gpm_sample *sample) { return gpm_take(h, sample); }
int nvmlGpmMigSampleGet(handle h, u32 gi, gpm_sample *sample) { return gpm_take((handle)(100000 + 1000 * ((long)h - 1) + gi), sample); }
typedef struct { u32 id; int code; double value; struct { char *a, *b, *c; } info; } gpm_metric;
typedef struct { u32 version, count; gpm_sample *first, *second; gpm_metric metrics[]; } gpm_request;
int nvmlGpmMetricsGet(gpm_request *request) {
    for (u32 i = 0; i < request->count; i++) {
        char room[48]; gpm_metric *one = &request->metrics[i];
        const char *text = look(&one->code, "%s.gpm%u", prefix(request->second->device, room), one->id);
        one->value = text ? atof(text) : 0;
    }
    return request->first->device == request->second->device ? OK : INVALID;
}
#endif

int nvmlDeviceGetNvLinkState(handle h, u32 link, int *active) { char f[32]; u64 v; sprintf(f, "nvlink%u", link); int c = number(h, f, &v); if (!c) *active = v; return c; }
int nvmlDeviceGetNvLinkVersion(handle h, u32 link, u32 *out) { (void)link; u64 v; int c = number(h, "nvlink_version", &v); if (!c) *out = v; return c; }
int nvmlDeviceGetNvLinkRemotePciInfo_v2(handle h, u32 link, pci_info *out) { char f[32]; memset(out, 0, sizeof *out); sprintf(f, "nvlink_remote%u", link); return word(h, f, out->bus_id, 32); }
int nvmlDeviceGetNvLinkErrorCounter(handle h, u32 link, int counter, u64 *out) { char f[32]; sprintf(f, "nvlink_errors%u.%d", link, counter); return number(h, f, out); }
typedef struct { u32 field, scope; long long time, latency; u32 type; int code; union { double d; u32 u; u64 ull; } value; } field_value;
int nvmlDeviceGetFieldValues(handle h, int count, field_value *out) {
    for (int i = 0; i < count; i++) { char f[32]; u64 v = 0; sprintf(f, "field%u", out[i].field); out[i].code = number(h, f, &v); out[i].type = 1; out[i].value.ull = v; }
    return OK;
}
typedef struct { unsigned char cluster[16]; int status; u32 clique; unsigned char state; } fabric;
int nvmlDeviceGetGpuFabricInfo(handle h, fabric *out) { u64 v; int c = number(h, "fabric_state", &v); if (!c) { memset(out, 0, sizeof *out); out->state = v; if (!number(h, "fabric_clique", &v)) out->clique = v; } return c; }
int nvmlDeviceGetTopologyCommonAncestor(handle a, handle b, int *level) {
    int c; const char *t = look(&c, "topology%ld-%ld", (long)a - 1, (long)b - 1);
    if (!t) t = look(&c, "topology");
    if (t) *level = atoi(t);
    return c;
}

/* MIG: gpuN.profileE = `id slices instances sm memory_mb name`, gpuN.placementsID = `start:size ...`, gpuN.instancesID = `gi gi ...` */
typedef struct { u32 version, id, p2p, slices, instances, sm, copy, decoder, encoder, jpeg, ofa; u64 memory; char name[96]; } profile_v2;
static int profile(handle h, u32 number, u32 *id, u32 *slices, u32 *instances, u32 *sm, u64 *mb, char *name) {
    char f[32], t[128]; sprintf(f, "profile%u", number);
    int c = word(h, f, t, 128); if (c) return c;
    sscanf(t, "%u %u %u %u %llu %95s", id, slices, instances, sm, mb, name);
    return OK;
}
#ifndef OLD_DRIVER
int nvmlDeviceGetGpuInstanceProfileInfoV(handle h, u32 number, profile_v2 *out) {
    char name[96]; int c = profile(h, number, &out->id, &out->slices, &out->instances, &out->sm, &out->memory, name);
    if (!c) snprintf(out->name, 96, "MIG %.90s", name);
    return c;
}
#endif
typedef struct { u32 id, p2p, slices, instances, sm, copy, decoder, encoder, jpeg, ofa; u64 memory; } profile_v1;
int nvmlDeviceGetGpuInstanceProfileInfo(handle h, u32 number, profile_v1 *out) {
    char name[96]; return profile(h, number, &out->id, &out->slices, &out->instances, &out->sm, &out->memory, name);
}
typedef struct { u32 start, size; } placement;
int nvmlDeviceGetGpuInstancePossiblePlacements_v2(handle h, u32 id, placement *out, u32 *count) {
    char f[32], t[256]; sprintf(f, "placements%u", id);
    int c = word(h, f, t, 256); if (c) return c;
    u32 n = 0;
    for (char *part = strtok(t, " "); part; part = strtok(NULL, " "), n++)
        if (out && n < *count) sscanf(part, "%u:%u", &out[n].start, &out[n].size);
    *count = n; return OK;
}
int nvmlDeviceGetGpuInstanceRemainingCapacity(handle h, u32 id, u32 *out) { char f[32]; u64 v; sprintf(f, "remaining%u", id); int c = number(h, f, &v); if (!c) *out = v; return c; }
int nvmlDeviceGetGpuInstances(handle h, u32 id, handle *out, u32 *count) {
    char f[32], t[256]; sprintf(f, "instances%u", id);
    int c = word(h, f, t, 256); if (c == UNSUPPORTED) { *count = 0; return OK; } if (c) return c;
    u32 n = 0;
    for (char *part = strtok(t, " "); part; part = strtok(NULL, " "), n++) out[n] = (handle)(100000 + 1000 * ((long)h - 1) + atol(part));
    *count = n; return OK;
}
typedef struct { handle device; u32 id, profile; placement place; } instance;
int nvmlGpuInstanceGetInfo(handle h, instance *out) {
    char t[48]; int c = word(h, "info", t, 48); if (c) return c;
    out->id = ((long)h - 100000) % 1000;
    sscanf(t, "%u %u:%u", &out->profile, &out->place.start, &out->place.size);
    return OK;
}
int nvmlDeviceGetMigDeviceHandleByIndex(handle h, u32 i, handle *out) {
    int c; look(&c, "gpu%ld.mig%u.gi", (long)h - 1, i);
    if (c) return c == UNSUPPORTED ? NOT_FOUND : c;
    *out = (handle)(1000 + 100 * ((long)h - 1) + i);
    return OK;
}
typedef struct { u32 sm, copy, decoder, encoder, jpeg, ofa, gi_slices, ci_slices; u64 memory; } attributes;
int nvmlDeviceGetAttributes_v2(handle h, attributes *out) { u64 v; int c = number(h, "sm", &v); if (!c) { memset(out, 0, sizeof *out); out->sm = v; } return c; }
