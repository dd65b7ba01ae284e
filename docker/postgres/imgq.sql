-- Run once, when the database volume is new: imgq's own role, which is no superuser.
\set password `cat /run/secrets/database_password`
CREATE ROLE imgq LOGIN PASSWORD :'password';
CREATE DATABASE imgq OWNER imgq;
