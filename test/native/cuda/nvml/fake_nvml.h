/* What the fake NVML answers; a test finds the struct by dlsym("fake") and changes it. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

struct fake_nvml {
  int init_status;   /* of nvmlInit_v2 */
  int status;        /* of every figure; 0: success */
  int energy_status; /* of the energy counter */
  unsigned temperature, power_mw, power_limit_mw;
  unsigned long long energy_mj;
  unsigned clocks[4], clock_limits[4]; /* graphics, SM, memory, video */
  unsigned long long throttle;
  unsigned long long ecc[2]; /* corrected, uncorrected */
  unsigned utilization;
  unsigned long long memory_total, memory_used;
  unsigned processes;
  unsigned event_sets; /* made so far */
  unsigned xids_waiting;
  unsigned long long xids[4]; /* the last waiting one is delivered first */
};

#endif
