"""Times .onnx models as a careful person would: python _standalone.py CPU PASSES SEED MODEL=COUNT ..."""

# ruff: noqa: E401, E402, I001
import gc, json, os, random, sys, time

os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.sched_setaffinity(0, {int(sys.argv[1])})
import numpy as np, onnxruntime as ort

options, calls = ort.SessionOptions(), []
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.add_session_config_entry("session.intra_op.allow_spinning", "0")
for path, count in (argument.rsplit("=", 1) for argument in sys.argv[4:]):
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given, binding, name = session.get_inputs()[0], session.io_binding(), session.get_outputs()[0].name
    values = np.random.RandomState(0).standard_normal(given.shape).astype(np.float32)
    binding.bind_ortvalue_input(given.name, ort.OrtValue.ortvalue_from_numpy(values))
    binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding)
    binding.bind_ortvalue_output(name, binding.get_outputs()[0])
    calls.append((lambda s=session, b=binding: s.run_with_iobinding(b), int(count), []))
gc.collect()
gc.freeze()
gc.disable()
random.seed(int(sys.argv[3]))
for index in range(int(sys.argv[2])):
    for run, count, samples in random.sample(calls, len(calls)):
        for _ in range(2 if index else 5):
            run()
        for _ in range(count):
            start = time.perf_counter_ns()
            run()
            samples.append(time.perf_counter_ns() - start)
print(json.dumps([sorted(samples)[len(samples) // 10] for _, _, samples in calls]))
