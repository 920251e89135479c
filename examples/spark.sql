-- SPDX-License-Identifier: BSD-2-Clause
--
-- Copyright (c) 2026 The siftr_cdev maintainers
--
-- Queries over the logs in fleet/host=*/: spark-sql -f examples/spark.sql
-- Spark reads unsigned 64-bit integers as decimal(20,0).

CREATE OR REPLACE TEMPORARY VIEW records USING parquet OPTIONS (path 'fleet', pathGlobFilter '*.parquet');

-- The runs of the logger.  A run numbers its snapshots from 1, across all files of
-- a rotated log.
CREATE OR REPLACE TEMPORARY VIEW runs AS
    WITH files AS (
        SELECT host, log_start, min(snapshot) AS first, max(snapshot) AS last FROM records GROUP BY host, log_start
    ), pairs AS (
        SELECT *, lag(last, 1, 0) OVER (PARTITION BY host ORDER BY log_start) AS before FROM files
    )
    SELECT host, log_start, count_if(first <= before) OVER (PARTITION BY host ORDER BY log_start) AS run FROM pairs;

-- Differences from the previous record of the same connection.  gencnt is unique in
-- a network stack until a reboot; after a reboot it may start again, in another run.
CREATE OR REPLACE TEMPORARY VIEW changes AS
    SELECT *,
        date_trunc('minute', time) AS minute,
        acked_bytes - lag(acked_bytes) OVER history AS acked,
        rexmit_bytes - lag(rexmit_bytes) OVER history AS rexmit
    FROM (
        SELECT records.*, run, struct(run, vnet, gencnt, laddr, lport, faddr, fport, zone) AS connection
        FROM records JOIN runs USING (host, log_start)
        WHERE state NOT IN ('LISTEN', 'CLOSED', 'TIME_WAIT')
    )
    WINDOW history AS (PARTITION BY host, connection ORDER BY snapshot, time_ns);

-- The connections that retransmitted most.
SELECT host, laddr, lport, faddr, fport, max(cc) AS cc,
    (max(time_ns) - min(time_ns)) / 1e9 AS seconds,
    greatest(sum(acked), 0) AS acked_bytes, greatest(sum(rexmit), 0) AS rexmit_bytes,
    percentile(srtt, 0.5) AS srtt_median_us, percentile(srtt, 0.95) AS srtt_p95_us
FROM changes GROUP BY host, connection, laddr, lport, faddr, fport
ORDER BY rexmit_bytes DESC NULLS LAST, host, min(time_ns), lport LIMIT 10;

-- Per minute.
SELECT host, minute,
    count(DISTINCT connection) AS connections, sum(acked) AS acked_bytes, sum(rexmit) AS rexmit_bytes,
    percentile(srtt, 0.5) AS srtt_median_us, percentile(srtt, 0.95) AS srtt_p95_us
FROM changes GROUP BY host, minute ORDER BY host, minute;
