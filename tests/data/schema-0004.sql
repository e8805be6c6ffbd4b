BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0004');
CREATE TABLE artifacts (
	sha256 VARCHAR(64) NOT NULL, 
	size_bytes BIGINT NOT NULL, 
	suffix VARCHAR(10) NOT NULL, 
	CONSTRAINT pk_artifacts PRIMARY KEY (sha256)
);
CREATE TABLE canary_rounds (
	round_id VARCHAR(32) NOT NULL, 
	device VARCHAR(80) NOT NULL, 
	backend_key VARCHAR(100) NOT NULL, 
	conditions_key VARCHAR(200) NOT NULL, 
	at_s FLOAT NOT NULL, 
	level_ns BIGINT NOT NULL, 
	low_ns BIGINT, 
	idle BOOLEAN, 
	basis TEXT NOT NULL, 
	CONSTRAINT pk_canary_rounds PRIMARY KEY (round_id)
);
INSERT INTO "canary_rounds" VALUES('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','desk','onnxruntime-cpu-t1-fp32','b1-steady',1.0,70000,70000,1,'{"runtime":"onnxruntime 1.32.0"}');
INSERT INTO "canary_rounds" VALUES('bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','desk','onnxruntime-cpu-t1-fp32','b1-steady',1.0,70000,70000,1,'{"runtime":"onnxruntime 1.32.0"}');
CREATE TABLE device_checks (
	device VARCHAR(80) NOT NULL, 
	position INTEGER NOT NULL, 
	checked_s FLOAT NOT NULL, 
	fit BOOLEAN NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_device_checks PRIMARY KEY (device, position)
);
INSERT INTO "device_checks" VALUES('desk',0,7.0,1,'{"boot_id":"m1","checked_s":7.0,"device":"desk","findings":[{"name":"latency","severity":"ok","unit":"us","value":1.0,"what_to_do":"","why":"as before"}],"references":[],"tools_only":false}');
CREATE TABLE device_states (
	device VARCHAR(80) NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	code VARCHAR(40) NOT NULL, 
	since_s FLOAT NOT NULL, 
	until_s FLOAT, 
	checked_s FLOAT, 
	fit BOOLEAN, 
	boot_id VARCHAR(100) NOT NULL, 
	reboots_s TEXT NOT NULL, 
	CONSTRAINT pk_device_states PRIMARY KEY (device)
);
INSERT INTO "device_states" VALUES('desk','maintenance','new fan','',6.0,NULL,NULL,NULL,'','[]');
CREATE TABLE device_transitions (
	device VARCHAR(80) NOT NULL, 
	position INTEGER NOT NULL, 
	at_s FLOAT NOT NULL, 
	event VARCHAR(20) NOT NULL, 
	"before" VARCHAR(20) NOT NULL, 
	"after" VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	CONSTRAINT pk_device_transitions PRIMARY KEY (device, position)
);
INSERT INTO "device_transitions" VALUES('desk',0,6.0,'held','new','maintenance','new fan');
CREATE TABLE devices (
	name VARCHAR(80) NOT NULL, 
	content TEXT NOT NULL, 
	hello TEXT, 
	seen_s FLOAT, 
	CONSTRAINT pk_devices PRIMARY KEY (name)
);
INSERT INTO "devices" VALUES('desk','{"address":{"python":"/usr/bin/python3"},"host":"local","labels":{"room":"a"},"name":"desk","profile":"generic-linux-x86_64","transport":"local"}','{"abi":"","agent_package":"","clock_resolution_ns":1,"cpu_model":"cpu","cpus":[0,1],"cpus_off":[],"governor":"","libc":"","machine":"x86_64","machine_id":"m1","memory_bytes":17179869184,"python":"3.11.7","remarks":[],"runner_sha256":"0000000000000000000000000000000000000000000000000000000000000000","runtimes":{"onnxruntime":"1.32.0"},"system":"Linux 6.1","timer_pair_ns":75,"word_bits":0}',5.0);
CREATE TABLE environments (
	number INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_environments PRIMARY KEY (number), 
	CONSTRAINT uq_environments_hash UNIQUE (hash)
);
INSERT INTO "environments" VALUES(1,'7387b038d89a8c53d2bc7117420f6b51d153231495ea52d64c3bb8cb37bceecb','{"busy_s":10.0,"cores":2,"load_1min":0.5,"own_s":1.0,"time_s":1.0,"virtual":false}');
INSERT INTO "environments" VALUES(2,'ad26bcd6c5e0d75a6d5be47577565b40a232e04acd63649dc3c64f1d16d41c2b','{"busy_s":11.0,"cores":2,"own_s":1.9,"temperature_c":41.5,"time_s":2.0,"virtual":false}');
CREATE TABLE farms (
	id VARCHAR(32) NOT NULL, 
	CONSTRAINT pk_farms PRIMARY KEY (id)
);
INSERT INTO "farms" VALUES('79e49552f39b454a946c1f581c8aa3ad');
CREATE TABLE fingerprints (
	number INTEGER NOT NULL, 
	hash VARCHAR(64) NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_fingerprints PRIMARY KEY (number), 
	CONSTRAINT uq_fingerprints_hash UNIQUE (hash)
);
INSERT INTO "fingerprints" VALUES(1,'85214108a961903cc3f279e5810b2c4a1f27bd443b18e2d4977363cc00719f9a','{"governor":"","runtime":"onnxruntime 1.32.0"}');
CREATE TABLE job_probes (
	job_id VARCHAR(100) NOT NULL, 
	"key" TEXT NOT NULL, 
	failed BOOLEAN NOT NULL, 
	CONSTRAINT pk_job_probes PRIMARY KEY (job_id, "key"), 
	CONSTRAINT fk_job_probes_job_id FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "job_probes" VALUES('job-1','latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady',0);
INSERT INTO "job_probes" VALUES('job-1','latency/file:m.tflite@abc[x=1x3]/desk/tflite-cpu-t2-fp32/b1-steady',1);
CREATE TABLE job_runs (
	job_id VARCHAR(100) NOT NULL, 
	run INTEGER NOT NULL, 
	reused BOOLEAN NOT NULL, 
	CONSTRAINT pk_job_runs PRIMARY KEY (job_id, run), 
	CONSTRAINT fk_job_runs_job_id FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT fk_job_runs_run FOREIGN KEY(run) REFERENCES runs (number)
)
 WITHOUT ROWID

;
INSERT INTO "job_runs" VALUES('job-1',1,0);
INSERT INTO "job_runs" VALUES('job-1',2,0);
CREATE TABLE jobs (
	id VARCHAR(100) NOT NULL, 
	name VARCHAR(80) NOT NULL, 
	spec_json TEXT NOT NULL, 
	created_s FLOAT NOT NULL, 
	state VARCHAR(20) NOT NULL, 
	reason TEXT NOT NULL, 
	zeros TEXT NOT NULL, user TEXT DEFAULT '' NOT NULL, priority INTEGER DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES('job-1','job','{}',100.0,'open','','["identity_H1_W1_C1"]','',0);
INSERT INTO "jobs" VALUES('job-2','later','{}',50.0,'queued','','["identity_H1_W1_C1"]','ann',2);
CREATE TABLE leases (
	device VARCHAR(80) NOT NULL, 
	token BIGINT NOT NULL, 
	owner TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	expires_s FLOAT NOT NULL, 
	job_id VARCHAR(100) NOT NULL, committed_token BIGINT DEFAULT '0' NOT NULL, 
	CONSTRAINT pk_leases PRIMARY KEY (device)
);
INSERT INTO "leases" VALUES('desk',1,'elsewhere:0123456789abcdef:17:1','ann',160.0,'job-1',1);
CREATE TABLE measurement_artifacts (
	"key" TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	CONSTRAINT pk_measurement_artifacts PRIMARY KEY ("key", sha256), 
	CONSTRAINT fk_measurement_artifacts_sha256 FOREIGN KEY(sha256) REFERENCES artifacts (sha256)
);
CREATE TABLE measurements (
	job_id VARCHAR(100) NOT NULL, 
	position INTEGER NOT NULL, 
	"key" TEXT NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_measurements PRIMARY KEY (job_id, position), 
	CONSTRAINT fk_measurements_job_id FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "measurements" VALUES('job-1',0,'latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady','{"backend":{"precision":"fp32","provider":"cpu","runtime":"onnxruntime","threads":1},"conditions":{"batch_size":1,"clocks":"free","cluster":"","state":"steady"},"device":"desk","quantity":"latency","workload":{"computes":true,"feeds":[],"inputs":[],"kind":"operator","name":"conv_a","path":"","refused":"","sha256":"","takes":"","values_sha256":""}}');
INSERT INTO "measurements" VALUES('job-1',1,'latency/file:m.tflite@abc[x=1x3]/desk/tflite-cpu-t2-fp32/b1-steady','{"backend":{"precision":"fp32","provider":"cpu","runtime":"tflite","threads":2},"conditions":{"batch_size":1,"clocks":"free","cluster":"","state":"steady"},"device":"desk","quantity":"latency","workload":{"computes":true,"feeds":[],"inputs":[{"dtype":"float32","name":"x","shape":[1,3]}],"kind":"file","name":"m.tflite@abc","path":"","refused":"","sha256":"abababababababababababababababababababababababababababababababab","takes":"","values_sha256":""}}');
INSERT INTO "measurements" VALUES('job-2',0,'latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady','{"backend":{"precision":"fp32","provider":"cpu","runtime":"onnxruntime","threads":1},"conditions":{"batch_size":1,"clocks":"free","cluster":"","state":"steady"},"device":"desk","quantity":"latency","workload":{"computes":true,"feeds":[],"inputs":[],"kind":"operator","name":"conv_a","path":"","refused":"","sha256":"","takes":"","values_sha256":""}}');
CREATE TABLE probes (
	"key" TEXT NOT NULL, 
	fingerprint INTEGER NOT NULL, 
	probed_s FLOAT NOT NULL, 
	content TEXT NOT NULL, 
	CONSTRAINT pk_probes PRIMARY KEY ("key", fingerprint), 
	CONSTRAINT fk_probes_fingerprint FOREIGN KEY(fingerprint) REFERENCES fingerprints (number)
);
INSERT INTO "probes" VALUES('latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady',1,1.0,'{"device":"desk","key":"latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady","load_ns":7,"notes":{},"probed_s":1.0}');
INSERT INTO "probes" VALUES('latency/file:m.tflite@abc[x=1x3]/desk/tflite-cpu-t2-fp32/b1-steady',1,1.0,'{"device":"desk","failure":{"code":"OutOfMemory","detail":"7 GB wanted"},"key":"latency/file:m.tflite@abc[x=1x3]/desk/tflite-cpu-t2-fp32/b1-steady","load_ns":7,"notes":{},"probed_s":1.0}');
CREATE TABLE queued_jobs (
	job_id VARCHAR(100) NOT NULL, 
	folder TEXT NOT NULL, 
	submitted_s FLOAT NOT NULL, 
	retry_failed BOOLEAN NOT NULL, 
	until_s FLOAT, 
	not_before_s FLOAT NOT NULL, 
	waiting TEXT NOT NULL, 
	ending TEXT NOT NULL, 
	CONSTRAINT pk_queued_jobs PRIMARY KEY (job_id), 
	CONSTRAINT fk_queued_jobs_job_id FOREIGN KEY(job_id) REFERENCES jobs (id)
);
INSERT INTO "queued_jobs" VALUES('job-2','/srv/jobs/2',50.0,1,900.0,60.0,'no device','');
CREATE TABLE runs (
	number INTEGER NOT NULL, 
	id VARCHAR(32) NOT NULL, 
	"key" TEXT NOT NULL, 
	device VARCHAR(80) NOT NULL, 
	round_id VARCHAR(32) NOT NULL, 
	status VARCHAR(10) NOT NULL, 
	started_s FLOAT NOT NULL, 
	fingerprint INTEGER NOT NULL, 
	"before" INTEGER, 
	"after" INTEGER, 
	canary_p10_ns BIGINT, 
	canary_low_ns BIGINT, 
	content TEXT NOT NULL, 
	slices BLOB NOT NULL, 
	CONSTRAINT pk_runs PRIMARY KEY (number), 
	CONSTRAINT fk_runs_before FOREIGN KEY("before") REFERENCES environments (number), 
	CONSTRAINT fk_runs_after FOREIGN KEY("after") REFERENCES environments (number), 
	CONSTRAINT fk_runs_fingerprint FOREIGN KEY(fingerprint) REFERENCES fingerprints (number), 
	CONSTRAINT uq_runs_id UNIQUE (id), 
	CONSTRAINT uq_runs_key_round_id UNIQUE ("key", round_id)
);
INSERT INTO "runs" VALUES(1,'11111111111111111111111111111111','latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady','desk','aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa','complete',1.0,1,1,2,70000,70000,'{"ended_s":2.0,"load_ns":5,"nodes":[],"reference_provisional":true,"round_index":0,"slices_discarded":0,"slices_rejected":0,"throttled":false}',X'4C4653331CB32B540100000003000000000000000000000001701101000000000001FFFFFFFFFFFFFFFF02E70300000000000001000101000103006406001D0CB90B0000010200');
INSERT INTO "runs" VALUES(2,'22222222222222222222222222222222','latency/operator:conv_a/desk/onnxruntime-cpu-t1-fp32/b1-steady','desk','bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb','truncated',1.0,1,1,2,70000,70000,'{"ended_s":2.0,"load_ns":5,"nodes":[],"reference_provisional":true,"round_index":0,"slices_discarded":0,"slices_rejected":0,"throttled":false}',X'4C4653331CB32B540100000003000000000000000000000001701101000000000001FFFFFFFFFFFFFFFF02E70300000000000001000101000103006406001D0CB90B0000010200');
CREATE TABLE tokens (
	id TEXT NOT NULL, 
	user TEXT NOT NULL, 
	role TEXT NOT NULL, 
	hashed VARCHAR(128) NOT NULL, 
	created_s FLOAT NOT NULL, 
	expires_s FLOAT, 
	revoked_s FLOAT, 
	CONSTRAINT pk_tokens PRIMARY KEY (id), 
	CONSTRAINT uq_tokens_hashed UNIQUE (hashed)
);
INSERT INTO "tokens" VALUES('t1','ann','operator','abababababababababababababababababababababababababababababababab',10.0,99.0,NULL);
CREATE INDEX ix_jobs_name ON jobs (name);
CREATE INDEX ix_runs_round_id ON runs (round_id);
CREATE INDEX ix_job_runs_run ON job_runs (run);
CREATE INDEX ix_canary_rounds_place ON canary_rounds (device, backend_key, conditions_key, at_s);
CREATE INDEX ix_runs_failed ON runs (number) WHERE status = 'failed';
COMMIT;
