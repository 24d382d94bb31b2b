def test_probe(server, database, connection):
    print(server, connection.execute("select version(), current_setting('data_checksums'), current_setting('fsync')").fetchone())
