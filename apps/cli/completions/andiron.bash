# bash completion of andiron; made by tools/cli_docs.py
_andiron()
{
    local now=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words=
    if [ "$COMP_CWORD" = 1 ]; then
        COMPREPLY=($(compgen -W "run show tokenize logits perplexity embed convert import bench help --version" -- "$now"))
        return
    fi
    case $before in
    help) COMPREPLY=($(compgen -W "run show tokenize logits perplexity embed convert import bench" -- "$now")); return ;;
    --kv-type) COMPREPLY=($(compgen -W "f32 f16 q8_0" -- "$now")); return ;;
    --math) COMPREPLY=($(compgen -W "exact fast" -- "$now")); return ;;
    --mmap) COMPREPLY=($(compgen -W "auto on off" -- "$now")); return ;;
    --quant) COMPREPLY=($(compgen -W "f32 f16 bf16 q8_0 q6_k q5_k q5_k_m q5_k_s q5_1 q5_0 q4_k q4_k_m q4_k_s q4_1 q4_0 q3_k q3_k_l q3_k_m q3_k_s q2_k" -- "$now")); return ;;
    --pooling) COMPREPLY=($(compgen -W "mean first last" -- "$now")); return ;;
    --type|-t) COMPREPLY=($(compgen -W "f32 f16 bf16 q8_0 q6_k q5_k q5_k_m q5_k_s q5_1 q5_0 q4_k q4_k_m q4_k_s q4_1 q4_0 q3_k q3_k_l q3_k_m q3_k_s q2_k" -- "$now")); return ;;
    esac
    case ${COMP_WORDS[1]} in
    run) words="--system --raw --begin --file -f --max-tokens -n --stop --temperature --top-k --top-p --min-p --repeat-penalty --frequency-penalty --presence-penalty --penalty-window --logit-bias --seed --ctx -c --kv-type --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    show) words="--metadata --tensors --graph --json --ctx -c --kv-type --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    tokenize) words="--detokenize -d --special --pieces --bos --lines --file -f --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    logits) words="--tokens --prompt -p --source --special --output -o --ubatch --decode --beside --ctx -c --kv-type --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    perplexity) words="--ctx -c --chunks --kv-type --json --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    embed) words="--lines --file -f --tokens --pooling --raw --ctx -c --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    convert) words="--type -t --split-max-size --threads --force --verbose -v -h --help" ;;
    import) words="--type -t --trust-remote-code -h --help" ;;
    bench) words="--prompt -p --generate -n --depth -d --sequences -s --repetitions -r --ubatch --kv-type --json --threads -t --cpu --math --mmap --lora --arch --quant --verbose -h --help" ;;
    esac
    if [[ $now == -* ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$now"))
    else
        COMPREPLY=($(compgen -f -- "$now"))
    fi
}
complete -o filenames -F _andiron andiron
