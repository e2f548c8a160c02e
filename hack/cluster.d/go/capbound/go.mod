module ald.local/capbound

go 1.24.0
