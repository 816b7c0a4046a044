#!/usr/bin/env python3
"""Write a container image archive without a container engine.

    image.py NAME:TAG OUT.tar CONTEXT [DOCKERFILE [STAGE]]

Understands the part of Dockerfile that a `FROM scratch` image needs: COPY/ADD (files,
directories, --chown=UID[:GID], --chmod=MODE), ENTRYPOINT, CMD, ENV, USER, WORKDIR, EXPOSE,
LABEL, ARG and STOPSIGNAL. In a multi-stage file only one stage is read, the one named STAGE or
else the last; its `COPY --from=STAGE SRC DST` takes the file or directory from CONTEXT by the
base name of SRC, so the project's own build output stands in for the builder stage. RUN in the
stage that is read is refused.

The output is the `docker save` layout, which `ctr images import`, `kind load image-archive`,
`podman load` and `docker load` all read. Output is reproducible: same input, same bytes.
"""
import hashlib, io, json, os, re, shlex, sys, tarfile


def instructions(text, wanted):
    text = re.sub(r"^\s*#.*\n", "", text, flags=re.M)
    text = re.sub(r"\\\s*\n", " ", text)
    stages = []  # (name or None, base, instructions)
    for line in filter(None, map(str.strip, text.splitlines())):
        op, _, rest = line.partition(" ")
        if op.upper() == "FROM":
            words = [word for word in rest.split() if not word.startswith("--")]
            stages.append((words[2] if len(words) == 3 else None, words[0], []))
        elif stages:  # an ARG before the first FROM speaks of bases only
            stages[-1][2].append((op.upper(), rest.strip()))
    if wanted:
        stages = [stage for stage in stages if stage[0] == wanted]
    if not stages:
        sys.exit(f"there is no stage {wanted}" if wanted else "there is no FROM")
    name, base, stage = stages[-1]
    if base != "scratch":
        sys.exit(f"stage {name or 'last'} is FROM {base}: only scratch can be built without an engine")
    return stage


def command(value):  # exec form is JSON; shell form needs a shell that scratch does not have
    return json.loads(value) if value.startswith("[") else ["/bin/sh", "-c", value]


class Layer:
    def __init__(self):
        self.entries = {}  # path in image -> (source or None for a directory, mode, uid, gid)

    def add(self, src, dst, mode, uid, gid):
        parent = os.path.dirname(dst)
        while parent not in ("", "/"):
            self.entries.setdefault(parent, (None, 0o755, 0, 0))
            parent = os.path.dirname(parent)
        if os.path.isdir(src):
            if dst != "/":
                self.entries.setdefault(dst, (None, 0o755, uid, gid))
            for name in sorted(os.listdir(src)):
                self.add(os.path.join(src, name), os.path.join(dst, name), mode, uid, gid)
        else:
            default = 0o755 if os.access(src, os.X_OK) else 0o644
            self.entries[dst] = (src, mode or default, uid, gid)

    def tar(self):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as t:
            for path, (src, mode, uid, gid) in sorted(self.entries.items()):
                info = tarfile.TarInfo(path.lstrip("/"))
                info.mode, info.uid, info.gid = mode, uid, gid
                if src is None:
                    info.type = tarfile.DIRTYPE
                    t.addfile(info)
                else:
                    info.size = os.path.getsize(src)
                    with open(src, "rb") as f:
                        t.addfile(info, f)
        return out.getvalue()


def build(name, out, context, dockerfile, wanted):
    with open(dockerfile) as f:
        stage = instructions(f.read(), wanted)
    layer, args = Layer(), {}
    config = {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]}
    for op, rest in stage:
        rest = re.sub(r"\$\{?(\w+)\}?", lambda m: args.get(m[1], m[0]), rest)
        if op in ("COPY", "ADD"):
            flags, words = {}, shlex.split(rest)
            while words[0].startswith("--"):
                k, _, v = words.pop(0)[2:].partition("=")
                flags[k] = v
            uid, _, gid = flags.get("chown", "0:0").partition(":")
            mode = int(flags["chmod"], 8) if "chmod" in flags else None
            *sources, dst = words
            for src in sources:
                src = os.path.basename(src) if "from" in flags else src.lstrip("/")
                path = os.path.normpath(os.path.join(context, src))
                to_dir = dst.endswith("/") or len(sources) > 1 or dst == "."
                to = os.path.join(config.get("WorkingDir", "/"), dst)
                if to_dir and not os.path.isdir(path):
                    to = os.path.join(to, os.path.basename(src))
                layer.add(path, os.path.normpath(to), mode, int(uid), int(gid or uid))
        elif op == "ARG":
            k, _, v = rest.partition("=")
            args[k] = os.environ.get(k, v)
        elif op in ("ENTRYPOINT", "CMD"):
            config["Entrypoint" if op == "ENTRYPOINT" else "Cmd"] = command(rest)
        elif op == "ENV":
            config["Env"] += shlex.split(rest) if "=" in rest else [rest.replace(" ", "=", 1)]
        elif op == "USER":
            config["User"] = rest
        elif op == "WORKDIR":
            config["WorkingDir"] = os.path.join(config.get("WorkingDir", "/"), rest)
        elif op == "EXPOSE":
            config.setdefault("ExposedPorts", {}).update({p if "/" in p else p + "/tcp": {} for p in rest.split()})
        elif op == "LABEL":
            config.setdefault("Labels", {}).update(w.partition("=")[::2] for w in shlex.split(rest))
        elif op == "STOPSIGNAL":
            config["StopSignal"] = rest
        else:
            sys.exit(f"{dockerfile}: {op} cannot be done without an engine")

    blob = layer.tar()
    diff_id = hashlib.sha256(blob).hexdigest()
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    image = json.dumps({"architecture": machine, "os": "linux", "config": config,
                        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + diff_id]}}).encode()
    image_id = hashlib.sha256(image).hexdigest()
    manifest = json.dumps([{"Config": image_id + ".json", "RepoTags": [name], "Layers": [diff_id + "/layer.tar"]}]).encode()
    with tarfile.open(out, "w") as t:
        for path, data in ((diff_id + "/layer.tar", blob), (image_id + ".json", image), ("manifest.json", manifest)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))


if __name__ == "__main__":
    if not 4 <= len(sys.argv) <= 6:
        sys.exit(__doc__)
    name, out, context = sys.argv[1:4]
    dockerfile = sys.argv[4] if len(sys.argv) > 4 else os.path.join(context, "Dockerfile")
    build(name, out, context, dockerfile, sys.argv[5] if len(sys.argv) > 5 else None)
