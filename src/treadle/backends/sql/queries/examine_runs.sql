SELECT {columns:runs}
FROM runs
