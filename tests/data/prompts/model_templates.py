"""Chat templates of the constructs that known models' templates have."""

LLAMA_3 = """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- if strftime_now is defined %}
        {%- set date_string = strftime_now("%d %b %Y") %}
    {%- else %}
        {%- set date_string = "26 Jul 2024" %}
    {%- endif %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}

{#- The system message is taken out, so that it can be put in its place. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|head|>system<|/head|>\\n\\n" }}
{{- "Today Date: " + date_string + "\\n\\n" }}
{%- if tools is not none %}
    {%- for t in tools %}{{- t | tojson(indent=4) }}{{- "\\n\\n" }}{%- endfor %}
{%- endif %}
{{- system_message }}{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or 'tool_calls' in message) %}
        {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n'
            + message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("Only one call at once") }}
        {%- endif %}
        {{- '{"name": "' + message.tool_calls[0].function.name + '", ' }}
        {{- message.tool_calls[0].function.arguments | tojson }}{{- "}" }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|/head|>\\n\\n' }}
{%- endif %}
"""
QWEN_3 = """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\\n\\n' }}
    {%- endif %}
    {{- "# Tools\\n<tools>" }}
    {%- for tool in tools %}{{- "\\n" }}{{- tool | tojson }}{%- endfor %}
    {{- "\\n</tools><|im_end|>\\n" }}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true,
                       last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user"
        and message.content is string
        and not(message.content.startswith('<tool_response>')
                and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user")
        or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content
            + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning_content = content.split('</think>')[0]
                .rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index
            and (loop.last or reasoning_content) %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n'
                + reasoning_content.strip('\\n') + '\\n</think>\\n\\n'
                + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""
GEMMA = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}"
    "{%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}"
    "{%- set loop_messages = messages[1:] -%}{%- else -%}"
    "{%- set first_user_prefix = '' -%}"
    "{%- set loop_messages = messages -%}{%- endif -%}"
    "{%- for message in loop_messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Roles must alternate') }}{%- endif -%}"
    "{%- if (message['role'] == 'assistant') -%}{%- set role = 'model' -%}"
    "{%- else -%}{%- set role = message['role'] -%}{%- endif -%}"
    "{{ '<start>' + role + '\n' + (first_user_prefix if loop.first else '') }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}"
    "{%- elif message['content'] is iterable -%}"
    "{%- for item in message['content'] -%}{{ item['text'] | trim }}"
    "{%- endfor -%}{%- endif -%}{{ '<end>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<start>model\n' }}{%- endif -%}"
)
MISTRAL = """{%- set loop_messages = messages %}
{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user")
    | list %}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.get("tool_calls")) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("Roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {{- '{"type": "function", ' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {{- '"' + key + '": ' + val | tojson }}
                    {%- if not loop.last %}{{- ", " }}{%- endif %}
                {%- endfor %}
                {{- "}" }}{{- "]" if loop.last else ", " }}
            {%- endfor %}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] }}
            {{- "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token }}
    {%- else %}
        {{- raise_exception("Only user and assistant roles") }}
    {%- endif %}
{%- endfor %}
"""
SMOLLM_2 = (
    "{% for message in messages %}{% if loop.first and"
    " messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are"
    " helpful.<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] +"
    " '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MODELS = {
    "llama_3": LLAMA_3,
    "qwen_3": QWEN_3,
    "gemma": GEMMA,
    "mistral": MISTRAL,
    "smollm_2": SMOLLM_2,
}
# One construct each: filters, globals, tags and what they do with white space.
CONSTRUCTS = [
    "{{ messages[0] | tojson }}",
    "{{ messages | tojson(indent=2) }}",
    "{{ messages | tojson(ensure_ascii=true, separators=(',', ':')) }}",
    "{{ {'b': '<é>', 'a': \"it's\"} | tojson(sort_keys=True) }}",
    "{{ [1, 2.5, none, true, 'x\n\"'] | tojson }}",
    "{{ messages | map(attribute='content') | join(' ~ ') }}",
    "{{ messages | selectattr('role', 'eq', 'user') | list | length }}",
    "{{ messages | rejectattr('role', 'in', ['user']) | list }}",
    "{% for m in messages %}{% if loop.index0 == 1 %}{% continue %}{% endif %}"
    "{% if loop.index > 3 %}{% break %}{% endif %}{{ m.content }};{% endfor %}",
    "{% generation %}\n  {{ messages[0].content }}\n{% endgeneration %}\nx",
    "{% set x = 1 %}{% generation %}{% set x = 2 %}{{ x }}{% endgeneration %}"
    "{{ x }}",
    "{% for m in messages %}\n  {% if m.role == 'user' %}\n  U\n  {% else %}\n"
    "A\n  {% endif %}\n{% endfor %}\n",
    "{% macro say(m, mark='!') %}{{ m.role ~ mark }}{% endmacro %}"
    "{{ say(messages[0]) }}{{ say(messages[1], mark='?') }}",
    "{% macro wrap() %}<{{ caller('x') }}>{% endmacro %}"
    "{% call(a) wrap() %}{{ a }}y{% endcall %}",
    "{% set ns = namespace(n=0, s='') %}{% for m in messages %}"
    "{% set ns.n = ns.n + 1 %}{% set ns.s = ns.s ~ m.content[:2] %}"
    "{% endfor %}{{ ns.n }}{{ ns.s }}",
    "{% for i in range(5, 0, -2) %}{{ i * 2 ** i % 7 // 1 }},{% endfor %}",
    "{{ '%s-%03d' % ('a', 5) }}{{ '{}:{:>4}'.format('b', 7) }}"
    "{{ '%s' | format(1) }}",
    "{{ 'a' | center(9) }}|{{ 'ab\ncd' | indent(2, true) }}|"
    "{{ 'a b c d' | wordwrap(3) }}|{{ '-'.join(['a', 'b']) }}",
    "{{ 'a'.ljust(3) }}{{ '7'.zfill(3) }}{{ 'a\tb'.expandtabs(4) }}"
    "{{ 'aba'.replace('a', 'cc') }}{{ 'abc'.translate({97: 'z'}) }}",
    "{{ messages[0].content | upper | title | trim | length }}",
    "{{ [3, 1, 2] | sort | join }}{{ [1, [2]] + [3] }}{{ (1, 2) }}"
    "{{ 'ab' * 3 }}{{ [0] * 3 }}",
    "{% for group in messages | groupby('role') %}{{ group.grouper }}"
    "{{ group.list | length }}{% endfor %}",
    "{% for row in [1, 2, 3, 4, 5] | batch(2, 'x') %}{{ row }}{% endfor %}"
    "{% for row in [1, 2, 3] | slice(2) %}{{ row }}{% endfor %}",
    "{{ '<b>&' | e }}{{ '<b>' | safe }}{{ '<i>x</i>' | striptags }}",
    "{{ dict(a=1, **{'b': 2}) }}{{ dict.fromkeys(['x'], 3) }}"
    "{{ {'a': 1}.items() | list }}{{ {'k': 2} | dictsort }}",
    "{{ missing is defined }}{{ missing | default('d') }}{{ missing }}"
    "{{ messages[9] }}{{ messages[0].nothing }}",
    "{{ 5 | round(1) }}{{ 2.567 | round(2, 'floor') }}{{ '12' | int + 1 }}"
    "{{ [1, 2] | sum }}{{ -3 | abs }}{{ [2, 1] | min }}",
    "{% if 'H' in messages[0].content and 'role' in messages[0] %}y{% endif %}"
    "{{ 1 < 2 < 3 }}{{ 'a' not in ['b'] }}{{ [1] == [1] }}",
    "{% filter upper %}a{{ 'b' }}{% endfilter %}"
    "{% set block %}in {{ 1 }}{% endset %}{{ block }}{% raw %}{{ x }}{% endraw %}",
    "{% for a in [[1, [2]], [3]] recursive %}{% if a is iterable %}"
    "{{ loop(a) }}{% else %}{{ a }}{% endif %}{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.length }}{{ loop.last }}"
    "{% else %}none{% endfor %}{{ messages | last }}",
    "{% autoescape true %}{{ '<' ~ 'a' }}{% endautoescape %}",
    "{% with a = 1, b = [a] %}{{ a }}{{ b }}{% endwith %}{# no #}\n  {#- no #}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}"
    "{% set j = joiner('|') %}{{ j() }}1{{ j() }}2",
    "{{ 1 if messages else 2 }}{{ bos_token ~ eos_token }}{{ none }}{{ 1.0 }}",
    "{{ 'Say' | replace('S', 'P') | reverse }}{{ 'a,b' | urlencode }}"
    "{{ 'abc' | first }}{{ [1, 1] | unique | list }}{{ 'x y' | wordcount }}",
    "{% block one %}b{{ 1 }}{% endblock %}{{ self.one() }}",
    "{{ messages | string | truncate(20) }}{{ 1000 | filesizeformat }}",
]
