"""Native benchmark tools: command line out, printed result in.  One file each; lutfarm_jobs.runtimes names them."""
