"""PostgreSQL and Valkey from wheels, and the processes of aTES, on one machine.

For trying, developing, testing and one small installation; larger ones name real servers by
`DATABASE_URL` and `REDIS_URL` and use nothing of this package.
"""
