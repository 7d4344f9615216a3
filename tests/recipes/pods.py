"""pods.py MANIFEST CONFIGMAP: runs the pods of a Job or CronJob as processes, all at once, and prints their exit statuses.

Does what a cluster does with the container's command: its environment from the manifest and the ConfigMap, the completion
index of an Indexed Job, $(NAME) replaced in each word. $MCFLUSH is /mcflush of the image, and SERVERS stands for the
ConfigMap's value.
"""

import os
import re
import subprocess
import sys

import yaml


def load(name):
    with open(name, encoding="utf-8") as file:
        return yaml.safe_load(file)


manifest, config = load(sys.argv[1]), load(sys.argv[2])
job = manifest["spec"]
if manifest["kind"] == "CronJob":
    job = job["jobTemplate"]["spec"]
(container,) = job["template"]["spec"]["containers"]
indexed = job.get("completionMode") == "Indexed"
assert job.get("parallelism", 1) == job.get("completions", 1)

pods = []
for index in range(job.get("completions", 1)):
    environment = {}
    for variable in container["env"]:
        source = variable["valueFrom"]["configMapKeyRef"]
        assert source["name"] == config["metadata"]["name"] and config["data"][source["key"]].split()
        environment[variable["name"]] = os.environ["SERVERS"]
    if indexed:
        environment["JOB_COMPLETION_INDEX"] = str(index)
    program, *words = (
        re.sub(r"\$\((\w+)\)", lambda found: environment.get(found[1], found[0]), word) for word in container["command"]
    )
    assert program == "/mcflush"
    pods.append(subprocess.Popen([os.environ["MCFLUSH"], *words], env=environment))
print(*(pod.wait() for pod in pods))
