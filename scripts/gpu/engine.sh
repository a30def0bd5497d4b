# shellcheck shell=bash disable=SC2154
# Parts of build: what is on the machine, and whether an engine works on it.

# toolkit prints the folder of the CUDA toolkit.
toolkit() {
	local nvcc
	nvcc=$(command -v nvcc || true)
	if [ -n "${CUDA_HOME:-}" ]; then echo "$CUDA_HOME"
	elif [ -n "$nvcc" ]; then dirname "$(dirname "$(readlink -f "$nvcc")")"
	else echo /usr/local/cuda; fi
}

# places prints the folders that may hold a library of NVIDIA's: the toolkit's, the loader's, and
# those of the Python packages that PyTorch comes with.
places() {
	local home
	home=$(toolkit)
	printf '%s\n' "$home"/lib64 "$home"/targets/*/lib "$home"/lib64/stubs "$home"/targets/*/lib/stubs
	tr : '\n' <<<"${LD_LIBRARY_PATH:-}"
	PATH=$PATH:/sbin ldconfig -p | sed -n 's|.*=> \(/.*\)/[^/]*$|\1|p' | sort -u || true
	python3 -c 'import glob, sys
for p in sys.path: print("\n".join(glob.glob(p + "/nvidia/*/lib")))' 2>/dev/null || true
}

# find_library prints the path of the first library of one of the names.
find_library() {
	local name folder
	for name; do
		while read -r folder; do
			[ ! -e "$folder/$name" ] || { echo "$folder/$name"; return; }
		done < <(places)
	done
	echo "build: no ${*} on this machine" >&2
	return 1
}

# cublas_stub builds a library of cuBLAS's names and nothing in them, to link against: the library
# of the version asked for, which the machine that runs it has, takes its place. Its symbols have
# no versions, so that those of any version serve.
cublas_stub() {
	nm -D --defined-only "$(find_library libcublas.so)" |
		awk '$2 == "T" && $3 ~ /^cublas/ { sub(/@.*/, "", $3); print "void " $3 "(void) {}" }' >"$scratch/cublas.c" &&
		gcc -shared -fPIC -Wl,-soname,"libcublas.so.$1" -o "$scratch/libcublas.so" "$scratch/cublas.c"
}

# cuda_options adds to options what CMake must know to build for compute capability 9.0 alone.
cuda_options() {
	local home cublas driver include
	home=$(toolkit)
	[ -x "$home/bin/nvcc" ] || die "no nvcc in $home/bin: set CUDA_HOME"
	if [ -n "${GPU_BUILD_CUBLAS:-}" ]; then
		cublas_stub "$GPU_BUILD_CUBLAS" || return
		cublas=$scratch/libcublas.so
	else
		cublas=$(find_library libcublas.so libcublas.so.13 libcublas.so.12) || return
	fi
	driver=$(find_library libcuda.so libcuda.so.1) || return
	include=$(dirname "$(dirname "$cublas")")/include
	[ ! -e "$include/cublas_v2.h" ] || export CPATH=${CPATH:+$CPATH:}$include
	# shellcheck disable=SC2034 # configure has them
	options=(-DGGML_CUDA=ON -DGGML_CUDA_NCCL=OFF -DCMAKE_CUDA_ARCHITECTURES=90-real
		-DOLLAMA_RUNNER_DIR=cuda_v13 -DOLLAMA_GPU_BACKEND=cuda
		-DCMAKE_CUDA_COMPILER="$home/bin/nvcc" -DCUDAToolkit_ROOT="$home"
		-DCUDA_cublas_LIBRARY="$cublas" -DCUDA_cuda_driver_LIBRARY="$driver")
}

# link_libraries puts what the CUDA library needs beside it, where Ollama has it looked for: the
# runtime as a copy, the large libraries as links.
link_libraries() {
	[ -e "$gpu/libggml-cuda.so" ] || return 0
	local name path
	while name=$(missing_library) && [ -n "$name" ]; do
		path=$(find_library "$name") || { [ "${GPU_BUILD_DEVICE:-}" = none ] && break; return 1; }
		case $name in
		libcudart*) cp -L "$path" "$gpu/$name" || return ;;
		*) ln -sf "$path" "$gpu/$name" || return ;;
		esac
	done
}

# missing_library prints the first library that the CUDA library needs and the loader does not find.
# A process that uses the GPU finds libcuda.so.1 by itself, or there is no driver.
missing_library() {
	LD_LIBRARY_PATH=$lib:$gpu:${LD_LIBRARY_PATH:-} ldd "$gpu/libggml-cuda.so" |
		awk '/=> not found/ && $1 != "libcuda.so.1" { print $1; exit }'
}

# llama_command sets command to llama-server as Ollama starts it. It is no function that runs it: of one
# in the background, kill would end the shell alone.
llama_command() {
	command=(env LD_LIBRARY_PATH="$lib:$gpu:${LD_LIBRARY_PATH:-}")
	[ ! -e "$gpu/libggml-cuda.so" ] || command+=(GGML_BACKEND_PATH="$gpu/libggml-cuda.so")
	command+=("$lib/llama-server")
}

lists_device() {
	local command
	llama_command
	"${command[@]}" --list-devices >"$scratch/devices.log" 2>&1 || { cat "$scratch/devices.log"; return 1; }
	[ "$cuda" != off ] && [ "${GPU_BUILD_DEVICE:-}" != none ] || return 0
	grep 'CUDA0:' "$scratch/devices.log" || { cat "$scratch/devices.log"; return 1; }
}

# free_port prints a port on which nobody listens, below those that Linux gives to connections.
free_port() {
	local port
	while port=$((20000 + RANDOM % 12000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
	echo "$port"
}

# reads_prompt has llama-server read a prompt that is long enough for the kernels of a prompt, with
# a model of a few layers in F16.
reads_prompt() {
	local port server status=0 command
	port=$(free_port)
	llama_command
	"$bundle/model" -o "$scratch/model.gguf" -layers 2 -width 256 -inner 512 -heads 2 -kv-heads 1 -vocab 1024 >/dev/null || return 1
	"${command[@]}" -m "$scratch/model.gguf" -c 2048 -ngl 99 --host 127.0.0.1 --port "$port" >"$scratch/prompt.log" 2>&1 &
	server=$!
	ask "$port" "$server" || status=$?
	kill "$server" 2>/dev/null || true
	wait "$server" 2>/dev/null || true
	[ "$status" = 0 ] || tail -n 20 "$scratch/prompt.log"
	return "$status"
}

# ask sends a prompt of 600 tokens until the server that is starting answers it.
ask() {
	local tries body answer
	body="{\"n_predict\": 1, \"prompt\": [5$(printf ', %d' $(seq 100 698))]}"
	for tries in $(seq 300); do
		kill -0 "$2" 2>/dev/null || { echo "build: llama-server ended"; return 1; }
		answer=$(exchange "$1" "$body" 2>/dev/null || true)
		case $answer in
		*'"prompt_n":600'*) return ;;
		*'Loading model'* | '') sleep 0.1 ;;
		*) echo "build: llama-server answered: $answer"; return 1 ;;
		esac
	done
	echo "build: llama-server did not answer in $tries tries"
	return 1
}

# exchange posts a body to llama-server's completion, and prints the answer.
exchange() {
	exec 3<>"/dev/tcp/127.0.0.1/$1" || return 1
	printf 'POST /completion HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' "${#2}" "$2" >&3
	timeout 60 cat <&3
	exec 3>&-
}
