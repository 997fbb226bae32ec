"""Chinese for what is wrong with a model: its files, its download, its memory, and the process it runs in."""

from __future__ import annotations

_RESUMED = "再次下载时会从断点继续"

_DOWNLOADS = {
    "cannot download {id}: HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set; unset it, or copy the checkpoint's folder"
    " here and give its path as the model": (
        "无法下载 {id}：已设置 HF_HUB_OFFLINE（或 TRANSFORMERS_OFFLINE）；请取消该设置，"
        "或把模型文件夹复制到本机，并以其路径作为模型"
    ),
    "cannot reach {host} ({reason}); check the network, or set HF_ENDPOINT to a mirror, then run the command again: it"
    " continues where it stopped": (
        f"无法连接 {{host}}（{{reason}}）；请检查网络，或把 HF_ENDPOINT 设为镜像站点，然后重试；{_RESUMED}"
    ),
    "cannot write to {path} ({reason}); make room or get permission, or choose another place with --to FOLDER or"
    " HF_HOME": "无法写入 {path}（{reason}）；请腾出空间或取得权限，或用 HF_HOME 另选位置",
    "another download of {id} is running; wait until it has ended": "{id} 正在由另一个进程下载；请等它结束",
    "the hub gives no size or checksum for {name}; check that HF_ENDPOINT names a real hub": (
        "Hub 没有给出 {name} 的大小或校验和；请检查 HF_ENDPOINT 是否指向真正的 Hub"
    ),
    "the connection closed early": "连接提前中断",
    "{name} arrived damaged: its checksum is not the hub's; it was removed, run the command again": (
        "收到的 {name} 已损坏，校验和与 Hub 的不符；文件已删除，请重新下载"
    ),
    "{id} holds a Git LFS pointer instead of {name}: the repository itself is broken; use another repository or"
    " revision": "{id} 中的 {name} 只是 Git LFS 指针，仓库本身有问题；请改用其他仓库或版本",
    "{id} needs {size} GB more but {path} has {free} GB free; make room, or choose another disk with --to FOLDER or"
    " HF_HOME": "{id} 还需 {size} GB，而 {path} 只剩 {free} GB；请腾出空间，或用 HF_HOME 另选磁盘",
    "{path} is not the file of {id} at {revision}; move it away or choose another folder": (
        "{path} 不是 {id}（版本 {revision}）的文件；请把它移走，或另选文件夹"
    ),
    "{id} has no {absent}, so it is not a ChatGLM-6B checkpoint; nothing was downloaded": (
        "{id} 中没有 {absent}，不是 ChatGLM-6B 模型；没有下载任何内容"
    ),
    "{id} is not a hub id; give one of the form owner/name": "{id} 不是 Hub ID；格式为 用户/名称",
    "{id} is gated: accept its terms at {url}, then run 'hf auth login' or set HF_TOKEN": (
        "{id} 须先申请授权：请在 {url} 接受其条款，再运行 hf auth login 或设置 HF_TOKEN"
    ),
    "{host} shows no model {id}; check the spelling, or run 'hf auth login' or set HF_TOKEN if it is private": (
        "{host} 上没有模型 {id}；请检查拼写；若是私有模型，请运行 hf auth login 或设置 HF_TOKEN"
    ),
    "{id} has no revision {revision}; look at {url} for branches and tags": (
        "{id} 没有版本 {revision}；分支和标签见 {url}"
    ),
    "{host} refuses access to {id} (HTTP {status}); run 'hf auth login' or set a valid HF_TOKEN": (
        "{host} 拒绝访问 {id}（HTTP {status}）；请运行 hf auth login，或设置有效的 HF_TOKEN"
    ),
    "{host} answered HTTP {status} for {id}; try again later: the download continues where it stopped": (
        f"{{host}} 对 {{id}} 的回应是 HTTP {{status}}；请稍后再试；{_RESUMED}"
    ),
    "there is no checkpoint folder {folder}; give 'demo', an existing folder, or a hub id such as {id}": (
        "没有模型文件夹 {folder}；请给出 demo、已有的文件夹，或 {id} 这样的 Hub ID"
    ),
    "{id} is neither a folder here nor on this machine yet; download it with '{command}'": (
        "{id} 不是文件夹，也还没有下载到本机；下载：{command}"
    ),
}

_LIKELY_CAUSES = {
    "these weights are quantised, but config.json has no quantization_bit: use their own config.json": (
        "这些权重已量化，而 config.json 中没有 quantization_bit；请使用权重自带的 config.json"
    ),
    "config.json says quantization_bit {bits}, but these weights are not quantised": (
        "config.json 中的 quantization_bit 是 {bits}，而这些权重没有量化"
    ),
    "config.json says quantization_bit {bits}; were the weights made with another one?": (
        "config.json 中的 quantization_bit 是 {bits}；权重是否按另一个位数量化？"
    ),
    "config.json says quantization_bit {bits}, but there are no scales": (
        "config.json 中的 quantization_bit 是 {bits}，而权重中没有缩放系数"
    ),
    "config.json sets pre_seq_len {count}, but no prefix is there: remove pre_seq_len": (
        "config.json 设置了 pre_seq_len {count}，而权重中没有前缀；请删去 pre_seq_len"
    ),
    "the sizes in config.json are of another model": "config.json 中的尺寸属于另一个模型",
    "they are a P-tuning prefix only: load the base model, then load_prefix(model, folder)": (
        "这里只有 P-tuning 的前缀；请加载基础模型，再用 load_prefix(model, folder) 载入前缀"
    ),
    "the checkpoint is incomplete or of another architecture, fetch it again": (
        "模型文件不完整，或属于另一种结构；请重新获取"
    ),
    "set pre_seq_len (and prefix_projection) in config.json as they were in training": (
        "请在 config.json 中把 pre_seq_len（和 prefix_projection）设为训练时的值"
    ),
    "these weights are quantised: use the config.json that says so with quantization_bit": (
        "这些权重已量化；请使用写明 quantization_bit 的 config.json"
    ),
    "the config is of another model": "config.json 属于另一个模型",
}

_FILES = {
    "the weights lack {count} tensors that config.json promises, first {name}; {reason}": (
        "权重缺少 config.json 中的 {count} 个张量，第一个是 {name}；{reason}"
    ),
    "the weights hold {name}, which config.json does not promise; {reason}": (
        "权重中的 {name} 不在 config.json 之列；{reason}"
    ),
    "{path}: {name} has shape {found} of {kind}, expected {shape} of {wanted}; {reason}": (
        "{path}：{name} 的形状是 {found}（{kind}），应为 {shape}（{wanted}）；{reason}"
    ),
    "{folder} holds no weights; expected one of {names}. Fetch them with `chatglm-slim pull` or give another folder": (
        "{folder} 中没有权重，应有以下之一：{names}；请用 chatglm-slim pull 获取，或另选文件夹"
    ),
    "{folder} has {name} but neither {other} nor an index of its shards (model.safetensors.index.json or"
    " pytorch_model.bin.index.json); fetch the index too": (
        "{folder} 中有 {name}，但没有 {other}，也没有分片的索引（model.safetensors.index.json 或"
        " pytorch_model.bin.index.json）；请把索引也取来"
    ),
    "{path} is a git-lfs pointer, not the file itself; run `git lfs install` and `git lfs pull` in {folder}, or fetch"
    " the checkpoint with `chatglm-slim pull`": (
        "{path} 只是 git-lfs 指针，不是文件本身；请在 {folder} 中运行 git lfs install 和 git lfs pull，"
        "或用 chatglm-slim pull 获取模型"
    ),
    "{path} is a Git LFS pointer of {count} bytes, not the file itself; run `git lfs pull` in its folder, or download"
    " the file": (
        "{path} 只是 {count} 字节的 Git LFS 指针，不是文件本身；请在其文件夹中运行 git lfs pull，或下载该文件"
    ),
    "{path} cannot be read: {reason}; see who owns it and may read it": (
        "无法读取 {path}（{reason}）；请检查它的所有者和读取权限"
    ),
    "{path}: {name} holds NaN or infinite numbers (or numbers too large for fp16); the file is damaged or its training"
    " diverged, take another checkpoint": (
        "{path}：{name} 中有 NaN 或无穷大（或超出 fp16 范围的数）；文件已损坏，或训练已发散，请换一份模型文件"
    ),
    "{path} is not an index of shards: no readable weight_map; fetch it again": (
        "{path} 不是分片的索引，其中没有可读的 weight_map；请重新获取"
    ),
    "{path}: weight_map must map tensor names to files of the same folder; fetch it again": (
        "{path}：weight_map 应把张量名对应到同一文件夹中的文件；请重新获取"
    ),
    "{folder}: {missing} of {count} shards are missing, first {name}; fetch them, for example with"
    " `chatglm-slim pull`": (
        "{folder}：{count} 个分片中缺少 {missing} 个，第一个是 {name}；请获取，例如用 chatglm-slim pull"
    ),
    "{index} promises {name} in {file}, which does not hold it; the index and the shards are of different checkpoints,"
    " fetch them again": "{index} 称 {name} 在 {file} 中，而其中没有；索引与分片不属于同一份模型，请重新获取",
    "{path} is truncated: it has {found} bytes and needs at least {wanted}; fetch it again": (
        "{path} 不完整：有 {found} 字节，至少应有 {wanted} 字节；请重新获取"
    ),
    "{path} is not a safetensors file: it does not start with the length of a header; fetch it again": (
        "{path} 不是 safetensors 文件：开头不是文件头的长度；请重新获取"
    ),
    "{path}: the safetensors header is not JSON; fetch it again": "{path}：safetensors 的文件头不是 JSON；请重新获取",
    "{path}: the safetensors header is not an object; fetch it again": (
        "{path}：safetensors 的文件头不是 JSON 对象；请重新获取"
    ),
    "{path}: the header's entry for {name} is not understood; fetch the file again": (
        "{path}：文件头中 {name} 的条目无法理解；请重新获取"
    ),
    "{path}: {name} has bytes {begin} to {end}, but its shape {shape} needs {size}; fetch the file again": (
        "{path}：{name} 占第 {begin} 到 {end} 字节，而按形状 {shape} 应占 {size} 字节；请重新获取"
    ),
    "{path} holds other tensors than this model": "{path} 中的张量与这个模型不符",
    "{path} cannot be read as a PyTorch file; it is damaged or truncated, fetch it again": (
        "{path} 无法按 PyTorch 文件读取，已损坏或不完整；请重新获取"
    ),
    "{path} holds Python objects other than tensors, or is damaged; it was refused and nothing in it was run. Get the"
    " checkpoint from a source you trust, as safetensors if there is one": (
        "{path} 含有张量以外的 Python 对象，或已损坏；已拒绝读取，其中的代码没有运行。"
        "请从可信的来源获取模型，最好是 safetensors 格式"
    ),
    "{path} is not a PyTorch file; fetch it again": "{path} 不是 PyTorch 文件；请重新获取",
    "{path} holds no plain mapping from names to tensors; save the model's state_dict() itself": (
        "{path} 中不是从名称到张量的字典；请保存模型的 state_dict() 本身"
    ),
    "{path} is not JSON ({reason}); fetch it again": "{path} 不是 JSON（{reason}）；请重新获取",
    "{path} holds a {kind}, expected an object": "{path} 中是 {kind}，应是 JSON 对象",
    "{folder} is not a folder; give a folder that holds a ChatGLM-6B checkpoint": (
        "{folder} 不是文件夹；请给出含有 ChatGLM-6B 模型的文件夹"
    ),
    "{folder} has no config.json, so it is not a checkpoint; give the folder that holds config.json and the weights, or"
    " fetch one with `chatglm-slim pull`": (
        "{folder} 中没有 config.json，不是模型文件夹；请给出含有 config.json 和权重的文件夹，"
        "或用 chatglm-slim pull 获取"
    ),
    "{folder} has no {name}, the tokenizer's vocabulary; fetch it from where the checkpoint came from": (
        "{folder} 中没有分词器的词表 {name}；请从模型的来源处获取"
    ),
    "{folder}: the tokenizer's files cannot be read ({reason}); fetch them again": (
        "{folder}：无法读取分词器的文件（{reason}）；请重新获取"
    ),
    "{path} is missing; a checkpoint holds its SentencePiece model under this name": (
        "缺少 {path}；模型的 SentencePiece 文件应为此名"
    ),
    "{path} is not the SentencePiece model of a ChatGLM-6B checkpoint: {reason}": (
        "{path} 不是 ChatGLM-6B 的 SentencePiece 文件：{reason}"
    ),
    "this is not a SentencePiece model; fetch the file again": "这不是 SentencePiece 文件；请重新获取",
    "this holds no pieces, it is not a SentencePiece model; fetch the file again": (
        "其中没有词元，不是 SentencePiece 文件；请重新获取"
    ),
    "this has {name} but not the {count} pieces of ChatGLM-6B at its end; it is of another model, so take the file of"
    " this checkpoint": (
        "其中有 {name}，但末尾没有 ChatGLM-6B 的 {count} 个词元，属于另一个模型；请使用这个模型自带的文件"
    ),
    "a field ends behind the message": "有字段超出了消息的末尾",
    "wire type {number} is unknown": "未知的字段类型 {number}",
    "{path}config.json: {reason}": "{path}config.json：{reason}",
    "{path}ice_text.model: {reason}": "{path}ice_text.model：{reason}",
    "{path}: quantization_bit is {found}; it must be 4, 8 or absent": (
        "{path}：quantization_bit 的值是 {found}，应为 4、8，或不填"
    ),
    **{
        before + english: said + chinese
        for before, said in (("", ""), ("{path}: ", "{path}："))
        for english, chinese in (
            (
                "model_type is {found}, expected 'chatglm'; this program runs ChatGLM-6B checkpoints only",
                "model_type 的值是 {found}，应为 chatglm；本程序只能运行 ChatGLM-6B",
            ),
            (
                "{key} is {found}, expected a positive number; fetch the config.json of these weights",
                "{key} 的值是 {found}，应为正数；请取用权重自带的 config.json",
            ),
        )
    },
    "{path} is of ChatGLM2 or ChatGLM3 (it has padded_vocab_size); this program runs ChatGLM-6B only": (
        "{path} 属于 ChatGLM2 或 ChatGLM3（其中有 padded_vocab_size）；本程序只能运行 ChatGLM-6B"
    ),
    "quantization_embeddings is true, but quantization_bit does not say to how many bits": (
        "quantization_embeddings 是 true，但 quantization_bit 没有说明位数"
    ),
    "hidden_size {width} cannot be cut into {count} heads whose width is a multiple of 4, as the 2-D rotary positions"
    " need; correct hidden_size or num_attention_heads": (
        "hidden_size {width} 无法分成 {count} 个注意力头，使每个头的宽度为 4 的倍数（二维旋转位置编码要求如此）；"
        "请更正 hidden_size 或 num_attention_heads"
    ),
    "position_variant {found} is unknown; choose v1.1 or v1.0": "没有 position_variant {found}；请选用 v1.1 或 v1.0",
    "position_encoding_2d is false, but ChatGLM-6B has 2-D positions only; set it to true": (
        "position_encoding_2d 是 false，而 ChatGLM-6B 只有二维位置编码；请设为 true"
    ),
    "quantization_group_size is {found} at {bits} bits; there are groups of 32 and 128, at 4 bits": (
        "{bits} 位时的 quantization_group_size 是 {found}；只有 4 位可以分组，每组 32 或 128"
    ),
    "{folder}: {name} has {found} rows, but config.json says vocab_size {wanted}; the config and the weights are of"
    " different checkpoints (full ones have 150,528 tokens, slim ones 130,528). Fetch the config.json that belongs to"
    " these weights": (
        "{folder}：{name} 有 {found} 行，而 config.json 中的 vocab_size 是 {wanted}；二者不属于同一份模型"
        "（完整版有 150,528 个词元，精简版 130,528 个）。请取用权重自带的 config.json"
    ),
    "{folder}: the tokenizer has {found} tokens with <sop> at {place}, but config.json says vocab_size {wanted} with"
    " <sop> at {other}; they are of different checkpoints. If this is a full checkpoint (150,528 tokens), convert it"
    " with `chatglm-slim slim SRC DST`, else fetch its own ice_text.model and tokenizer_config.json": (
        "{folder}：分词器有 {found} 个词元，<sop> 是 {place}，而 config.json 中的 vocab_size 是 {wanted}，<sop> 是"
        " {other}；二者不属于同一份模型。若是完整版（150,528 个词元），请用 chatglm-slim slim SRC DST 转换，"
        "否则请取用模型自带的 ice_text.model 和 tokenizer_config.json"
    ),
}

_LEVELS = {
    "{folder}: {name} has {count} columns and int4 packs them in pairs; use int8": (
        "{folder}：{name} 有 {count} 列，而 int4 须两列一组；请用 int8"
    ),
    "int4 packs columns in pairs, but the weight has {count} of them; use int8": (
        "int4 须两列一组，而权重有 {count} 列；请用 int8"
    ),
    "{folder} is already quantised to {level} and cannot become {wanted}; ask for {other}, or load the fp16"
    " checkpoint": "{folder} 已量化为 {level}，不能再变为 {wanted}；请选用 {other}，或加载 fp16 的模型",
    "{folder} does not fit into the memory of {device} at this level; choose int8 or int4, or device 'cpu'": (
        "按这个精度，{folder} 在 {device} 的内存中放不下；请选用 int8 或 int4，或把设备设为 cpu"
    ),
    "device {device} cannot be used by this build of torch on this machine; choose auto or cpu": (
        "本机的 torch 无法使用设备 {device}；请选用 auto 或 cpu"
    ),
    "weights are packed at int8 and int4, where the compiled kernels are; load {folder} with load_model": (
        "只有 int8 和 int4 的权重可以打包，且需要编译的内核；请用 load_model 加载 {folder}"
    ),
    "kv_cache_dtype is {found}, but {reason}; auto and fp16 do without": (
        "kv_cache_dtype 的值是 {found}，但 {reason}；auto 和 fp16 不需要"
    ),
    "keys and values of 8 bits need the compiled kernels, which cannot run this model": (
        "8 位的键和值需要编译的内核，而内核无法运行这个模型"
    ),
    "keys and values of 8 bits need the compiled kernels, which run on a processor and not on {device}": (
        "8 位的键和值需要编译的内核，而内核只能在 CPU 上运行，不能在 {device} 上运行"
    ),
    "keys and values of 8 bits need the compiled kernels, which are not in use: {reason}": (
        "8 位的键和值需要编译的内核，而内核没有启用（{reason}）"
    ),
    "CHATGLM_SLIM_KERNELS is {name}": "CHATGLM_SLIM_KERNELS 设为 {name}",
    "they are of another version or cannot be loaded on this system; install the package again": (
        "版本不符，或无法在本系统上加载；请重新安装软件包"
    ),
    "they were not built at installation, which takes a C++ compiler with OpenMP (g++, or clang++ with libomp); install"
    " one, then this package again": (
        "安装时没有编译，编译需要支持 OpenMP 的 C++ 编译器（g++，或 clang++ 加 libomp）；请先安装编译器，再重装本软件包"
    ),
}

_ANSWERS = {
    "no model is loaded; load one first": "没有加载模型；请先加载",
    "the model was closed; load it again": "模型已关闭；请重新加载",
    "there is no question to answer": "没有可以回答的问题",
    "stopped": "已停止",
    "a parameter cannot be used: {reason}": "有参数无法使用：{reason}",
    "the reply was cancelled while the weights were loading": "加载权重时回答已取消",
    "the reply was not ready within timeout={seconds} seconds; allow more, or fewer max_tokens": (
        "{seconds} 秒内没有完成回答；请延长时间，或减小 max_tokens"
    ),
    "the shortest reply that has the wanted form takes {count} tokens, but there is room for {limit}; raise max_tokens,"
    " shorten the prompt, or ask for less": (
        "符合要求的形式的回答至少需 {count} 个词元，而只能容纳 {limit} 个；请调大回答上限（max_tokens）、缩短提示，"
        "或减少要求"
    ),
    "the model's scores are not numbers (nan or infinite), so no token can be picked: its weights are damaged or"
    " overflow in this precision; get the checkpoint again, or try another quantization or device": (
        "模型给出的分数不是数（NaN 或无穷大），无法选出词元：权重已损坏，或在这个精度下溢出；"
        "请重新获取模型文件，或改用其他精度或设备"
    ),
    "the weights give states that are no numbers; fetch the checkpoint again": (
        "权重算出的隐藏状态不是数；请重新获取模型文件"
    ),
    "text {number} cannot be embedded: {reason}": "第 {number} 段文字无法转为向量：{reason}",
    "the plugin models.{name} gave no answer": "插件 models.{name} 没有给出回答",
    "the plugin models.{name} failed: {reason}": "插件 models.{name} 出错：{reason}",
    "the request has {count} MB, more than can be sent; shorten it": "请求有 {count} MB，超过可发送的大小；请缩短",
    "the process for the model cannot be started: {reason}": "无法启动模型的进程：{reason}",
    "it wanted to end the program ({reason})": "它试图结束程序（{reason}）",
    "message {number} is of a kind that this model cannot take ({found}); use system, human, ai and tool messages": (
        "第 {number} 条消息的类型 {found} 不受支持；可用 system、human、ai 和 tool 消息"
    ),
    "message {number} is of a kind that this model cannot take ({found} with role {role}); use system, human, ai and"
    " tool messages": ("第 {number} 条消息的类型 {found}（角色 {role}）不受支持；可用 system、human、ai 和 tool 消息"),
    "message {number} ({kind}) has a block of type {found}; this model reads only text, so leave it out": (
        "第 {number} 条消息（{kind}）含有类型为 {found} 的内容；这个模型只能读文字，请删去"
    ),
    "message {number} ({kind}) has a block of type {type} whose text is {found}; give it {wanted}, or leave it out": (
        "第 {number} 条消息（{kind}）中类型为 {type} 的内容，其 text 是 {found}，应为 {wanted}；请更正或删去"
    ),
    "there is no human message; the conversation must end with one": "对话中没有用户的消息；最后一条应是用户的消息",
    "message {number} is the model's own and the last one; end with a human message to answer": (
        "最后的第 {number} 条消息是模型自己的；最后一条应是用户的消息"
    ),
    "message {number} ({kind}) is empty; write something to answer": "第 {number} 条消息（{kind}）是空的；请写些内容",
    "message {number} is the result of the call {id}, which no message before it makes; put the AI message with that"
    " tool call before it": (
        "第 {number} 条消息是调用 {id} 的结果，而之前没有消息作此调用；请把含有该调用的 AI 消息放在它前面"
    ),
    "message {number} calls {name} with arguments that JSON cannot hold ({reason}); use plain ones": (
        "第 {number} 条消息调用 {name} 的参数无法用 JSON 表示（{reason}）；请用普通的值"
    ),
}

_MEMORY = {
    "the kernels could not get memory for their intermediate results": "内核得不到存放中间结果的内存",
    "the system gives no {count} bytes of memory ({reason})": "系统无法提供 {count} 字节的内存（{reason}）",
    **{
        f"{who} failed with {{kind}}{detail}{advice}": f"{its}出错：{{kind}}{said}{help_}"
        for who, its in (("The model", "模型"), ("The library", "知识库"))
        for detail, said in (("", ""), (": {reason}", "：{reason}"))
        for advice, help_ in (
            ("", ""),
            (
                "; choose a smaller level such as int4, or close other programs",
                "；请选用更低的精度（如 int4），或关闭其他程序",
            ),
        )
    },
}

_PROCESS = {
    english.replace("@", who): its + chinese
    for who, its in (("", ""), (" while {who} was at work", "{who} 运行时，"))
    for english, chinese in (
        (
            "{process} was ended by the system@, most likely for lack of memory (signal 9); {advice}, or close"
            " other programs",
            "{process}被系统终止，多半是内存不足（信号 9）；请{advice}，或关闭其他程序",
        ),
        (
            "{process} crashed ({signal})@; try again to start it anew",
            "{process}崩溃（{signal}）；重试即可重新启动",
        ),
        (
            "{process} crashed ({signal})@: {words}; try again to start it anew",
            "{process}崩溃（{signal}）：{words}；重试即可重新启动",
        ),
        (
            "{process} ended by itself (exit status {status})@; try again to start it anew",
            "{process}自行结束（退出状态 {status}）；重试即可重新启动",
        ),
        (
            "{process} ended by itself (exit status {status})@: {words}; try again to start it anew",
            "{process}自行结束（退出状态 {status}）：{words}；重试即可重新启动",
        ),
    )
} | {
    "{process} was stopped; try again to start it anew": "{process}已停止；重试即可重新启动",
    "{process} said what cannot be understood, and was ended; try again to start it anew": (
        "{process}的输出无法理解，已被终止；重试即可重新启动"
    ),
    "{name}, signal {number}": "{name}，信号 {number}",
    "signal {number}": "信号 {number}",
}

OF_MODELS = {**_DOWNLOADS, **_LIKELY_CAUSES, **_FILES, **_LEVELS, **_ANSWERS, **_MEMORY, **_PROCESS}

NUMBERS = {
    "integers": "整数",
    "packed integers": "打包的整数",
    "floating-point numbers": "浮点数",
}
"""What a tensor holds."""

PROCESSES = {
    "The model's process": "模型进程",
    "The process of the commands": "命令进程",
    "The library's process": "知识库进程",
    "choose a smaller level such as int4, or a smaller model": "选择更低的精度（如 int4）或更小的模型",
    "choose a smaller model": "选择更小的模型",
    "try it with less": "减少内容后再试",
    "add fewer files at once": "每次少添加一些文件",
}
"""What a process is called, and what helps where it had too little memory."""
