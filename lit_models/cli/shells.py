"""What shtab's scripts need beside the flags: the names of configs, and `python -m lit_models`."""

CONFIGS = "_lit_models_config_files"
"""The function that completes names and files of configs."""
PREAMBLES = {
    "bash": f"""{CONFIGS}() {{
  compgen -W '{{names}}' -- "$1"
  compgen -f -X '!*.yaml' -- "$1"
  compgen -d -- "$1"
}}""",
    "zsh": f"""{CONFIGS}() {{
  compadd -- {{names}}
  _files -g '*.yaml'
}}""",
}
FISH_CONFIGS = "{names} (__fish_complete_suffix .yaml)"
ENDINGS = {
    "bash": """
# python -m lit_models, beside what completes the other calls of python
{ _comp_load python || _completion_loader python; } >/dev/null 2>&1
_lit_models_python() {
  if [[ "${COMP_WORDS[1]-}" == -m && "${COMP_WORDS[2]-}" == lit_models && $COMP_CWORD -gt 2 ]]; then
    COMP_WORDS=(lit-models "${COMP_WORDS[@]:3}")
    (( COMP_CWORD -= 2 ))
    _shtab_lit_models
  elif declare -F _comp_cmd_python >/dev/null; then
    _comp_cmd_python "$@"
  elif declare -F _python >/dev/null; then
    _python "$@"
  fi
}
complete -o bashdefault -o default -F _lit_models_python python python3
""",
    "zsh": """
# python -m lit_models, beside what completes the other calls of python
_lit_models_python() {
  if [[ $words[2] == -m && $words[3] == lit_models && $CURRENT -gt 3 ]]; then
    words=(lit-models "${(@)words[4,-1]}")
    (( CURRENT -= 2 ))
    _shtab_lit_models
  else
    _python "$@"
  fi
}
compdef _lit_models_python python python3
""",
    "fish": """
# python -m lit_models
function _lit_models_is_module
  set -l words (commandline -opc)
  test (count $words) -ge 3; and test "$words[2] $words[3]" = "-m lit_models"
end
function _lit_models_of_module
  set -l words (commandline -opc)
  complete -C (string join ' ' -- lit-models $words[4..-1] (commandline -ct))
end
for name in python python3
  complete -c $name -n _lit_models_is_module -f -a '(_lit_models_of_module)'
end
""",
}
