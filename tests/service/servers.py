"""Starting, loading and stopping the test servers; each is stopped by its own process id."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import requests
from deltalake import write_deltalake
from world import World, documents, tables

HERE = Path(__file__).parent
PYTHON = Path(os.environ.get("UPRUNG_SERVICE_PYTHON", HERE.parents[1] / ".venv-service/bin/python"))
BUCKETS = ("materialsproject-parsed", "materialsproject-build")
TABLES = {
    "trajectories": "materialsproject-parsed/core/trajectories",
    "tasks": "materialsproject-parsed/core/tasks",
    "materials": "materialsproject-build/collections/materials",
}
PARTITION = {"trajectories": "run_type", "materials": "version"}
START_TIMEOUT = 120


@dataclass
class Server:
    """A running server on loopback."""

    process: subprocess.Popen[str]
    url: str

    def order(self, *faults: dict[str, Any]) -> None:
        """Replace the faults to come, and begin a new log."""
        requests.post(f"{self.url}/__faults", data=json.dumps(faults), timeout=20).raise_for_status()

    def log(self) -> list[dict[str, Any]]:
        """Return the requests since the last order."""
        return requests.get(f"{self.url}/__faults", timeout=20).json()["log"]

    def stop(self) -> None:
        """Kill this process, and no other."""
        self.process.kill()
        self.process.wait()


def start(script: str) -> Server:
    """Start a server script in the servers' environment and wait for its port."""
    process = subprocess.Popen(
        [PYTHON, HERE / "server" / script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "MP_API_KEY")},
    )
    line = process.stdout.readline()
    if not line.startswith("listening on"):
        process.kill()
        raise RuntimeError(f"{script} did not start (exit status {process.wait()})")
    return Server(process, f"http://127.0.0.1:{line.split()[-1]}")


@dataclass
class Service:
    """Both servers."""

    api: Server
    s3: Server

    @property
    def environment(self) -> dict[str, str]:
        """What the unmodified client needs to talk to them."""
        return {
            "MP_API_ENDPOINT": f"{self.api.url}/",
            "AWS_ENDPOINT_URL": self.s3.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def load(self, world: World) -> None:
        """Serve this world and no faults: new tables, new documents."""
        self.api.order()
        self.s3.order()
        requests.post(f"{self.s3.url}/moto-api/reset", timeout=60).raise_for_status()
        for bucket in BUCKETS:
            self._client().create_bucket(Bucket=bucket)
        body = json.dumps(documents(world))
        requests.post(f"{self.api.url}/__documents", data=body, timeout=60).raise_for_status()
        self.write(world)
        self.api.order()
        self.s3.order()

    def write(self, world: World, *names: str, mode: str = "append", **options: Any) -> None:
        """Write tables of a world (all unless named) as a new version."""
        content = tables(world, **options)
        for name in names or TABLES:
            self.write_table(name, content[name], mode=mode)

    def write_table(self, name: str, table: Any, *, mode: str = "append", partitioned: bool = True) -> None:
        """Write one table as a new version; everybody may read it, as in the open data."""
        options: dict[str, Any] = {} if mode == "append" else {"schema_mode": "overwrite"}
        partition = [PARTITION[name]] if partitioned and name in PARTITION else None
        write_deltalake(
            f"s3a://{TABLES[name]}/",
            table,
            mode=mode,
            partition_by=partition,
            storage_options=self._options(),
            **options,
        )
        self.publish()

    def publish(self) -> None:
        """Make every object readable without a signature."""
        client = self._client()
        for bucket in BUCKETS:
            for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    client.put_object_acl(Bucket=bucket, Key=entry["Key"], ACL="public-read")

    def keys(self, name: str) -> list[str]:
        """Return the data files of a table."""
        return [key for key in self.objects(*TABLES[name].split("/", 1)) if key.endswith(".parquet")]

    def objects(self, bucket: str, prefix: str) -> list[str]:
        """Return the keys of a bucket below a prefix."""
        listed = self._client().list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"] for entry in listed]

    def get(self, bucket: str, key: str) -> bytes:
        """Return an object."""
        return bytes(self._client().get_object(Bucket=bucket, Key=key)["Body"].read())

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Write an object."""
        self._client().put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, name: str, key: str) -> None:
        """Delete an object of a table's bucket."""
        self._client().delete_object(Bucket=TABLES[name].split("/")[0], Key=key)

    def _client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.s3.url,
            region_name="us-east-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )

    def _options(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.s3.url,
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_S3_ALLOW_UNSAFE_RENAME": "true",
        }

    def stop(self) -> None:
        self.api.stop()
        self.s3.stop()
