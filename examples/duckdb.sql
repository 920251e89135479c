-- SPDX-License-Identifier: BSD-2-Clause
--
-- Over the logs in fleet/host=*/: duckdb < examples/duckdb.sql

CREATE OR REPLACE VIEW logs AS
    SELECT * FROM read_parquet('fleet/host=*/*.parquet', hive_partitioning = true);

CREATE OR REPLACE VIEW records AS
    SELECT * EXCLUDE (note) FROM logs WHERE note IS NULL;

-- The network of an address: /24 of IPv4, /48 of IPv6.
CREATE OR REPLACE MACRO groups(part) AS list_filter(string_split(part, ':'), lambda x: x <> '');
CREATE OR REPLACE MACRO network(address) AS
    CASE WHEN address NOT LIKE '%:%' THEN regexp_replace(address, '[0-9]+$', '0/24')
    ELSE array_to_string(
        (groups(split_part(address, '::', 1))
            || list_resize([]::VARCHAR[], 8 - len(groups(replace(address, '::', ':'))), '0')
            || groups(split_part(address, '::', 2)))[1:3], ':') || '::/48'
    END;

-- What happened since the record before of the same connection.
CREATE OR REPLACE VIEW changes AS
    SELECT *,
        date_trunc('minute', time) AS minute,
        acked_bytes - lag(acked_bytes) OVER connection AS acked,
        rexmit_bytes - lag(rexmit_bytes) OVER connection AS rexmit
    FROM records
    WHERE state NOT IN ('LISTEN', 'CLOSED', 'TIME_WAIT')
    WINDOW connection AS (PARTITION BY host, gencnt ORDER BY time);

-- The connections that had to send most again.
SELECT host, laddr, lport, faddr, fport, any_value(cc) AS cc,
    date_diff('millisecond', min(time), max(time)) / 1000 AS seconds,
    sum(acked) AS acked_bytes, sum(rexmit) AS rexmit_bytes,
    quantile_cont(srtt, 0.5) AS srtt_median_us, quantile_cont(srtt, 0.95) AS srtt_p95_us,
    avg((snd_cwnd < snd_ssthresh)::INTEGER) AS in_slow_start
FROM changes GROUP BY host, gencnt, laddr, lport, faddr, fport
ORDER BY rexmit_bytes DESC NULLS LAST, host, gencnt LIMIT 10;

-- Per minute and network.
SELECT host, minute, network(faddr) AS network,
    count(DISTINCT gencnt) AS connections, sum(acked) AS acked_bytes, sum(rexmit) AS rexmit_bytes,
    quantile_cont(srtt, 0.5) AS srtt_median_us, quantile_cont(srtt, 0.95) AS srtt_p95_us
FROM changes GROUP BY ALL ORDER BY ALL;

-- What the logs say is missing in them.
SELECT host, time, note FROM logs
WHERE regexp_matches(note, '^(missed|gap|source_lost|torn) ') ORDER BY host, time LIMIT 100;
