(******************************************************************************)
(*      Quasi-Toeplitz operators: closed under composition and sum            *)
(*                                                                            *)
(* A map of images of EVERY size, on any finite set I of axes: every output   *)
(* has a class and an anchor, and a class has finitely many reads, each with  *)
(* a block of numbers.  Nothing of a class knows the size.                    *)
(*                                                                            *)
(*   site == a position, a length, a shift: an integer for each axis          *)
(*   kind == from where a read is counted along an axis: None the anchor      *)
(*           (HERE), Some false the first input (NEAR), Some true the end of  *)
(*           the axis (FAR)                                                   *)
(*   read == a kind and an offset for each axis                               *)
(*   pos a n r == where read r of a row of anchor a looks in sizes n          *)
(*   onto k s == the shift s along the axes on which k counts from the anchor *)
(*   operator == the record: size n of the output, class and anchor of every  *)
(*           output in sizes n, taps (read, block) and bias of every class    *)
(*   apply f n x p == output p of f on the image x of sizes n                 *)
(*   inside n p == p lies in the image;  fits f == all that is read does      *)
(*   layer kern b out first == a zero-padded convolution: its taps, its bias, *)
(*           the sizes of its output, and what tap 0 of output p reads        *)
(*   then_ f g a == first f, then g, its anchors by a, any function at all;   *)
(*           the class of p is that of g and, of every output j that g reads, *)
(*           its class in f and its anchor from where g counts:               *)
(*           (c_g(p), ((c_f(j), a_f(j) - a(p)))_j), a finite word of integers *)
(*   plus f g == the sum, (c_f(p), c_g(p), a_g(p) - a_f(p))                   *)
(*   alike f n p q s == rows p and q have one class, and anchors s apart      *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory.
Local Open Scope ring_scope.

Section Operators.
Variables (K : ringType) (I : finType).

Definition site := {ffun I -> int}.
Definition kind := option bool.
Definition read := {ffun I -> kind * int}.

Definition origin (a n : int) (k : kind) : int :=
  match k with None => a | Some false => 0 | Some true => n end.
Definition pos (a n : site) (r : read) : site := [ffun i => origin (a i) (n i) (r i).1 + (r i).2].
Definition onto (k : read) (s : site) : site := [ffun i => if (k i).1 is None then s i else 0].

Lemma pos_onto a n r s : pos (a + s) n r = pos a n r + onto r s.
Proof.
apply/ffunP => i; rewrite !ffunE; case: (r i).1 => [[]|] /=; rewrite ?addr0 //.
by rewrite addrAC.
Qed.

Record operator (ci co : nat) (C : eqType) := Operator {
  size : site -> site;
  cls : site -> site -> C;
  anchor : site -> site -> site;
  taps : C -> seq (read * 'M[K]_(co, ci));
  bias : C -> 'cV[K]_co }.

Definition apply ci co C (f : operator ci co C) (n : site) (x : site -> 'cV[K]_ci) (p : site) : 'cV[K]_co :=
  \sum_(t <- taps f (cls f n p)) t.2 *m x (pos (anchor f n p) n t.1) + bias f (cls f n p).

Definition inside (n p : site) : bool := [forall i, 0 <= p i < n i].
Definition fits ci co C (f : operator ci co C) := forall n p, inside (size f n) p ->
  forall t, t \in taps f (cls f n p) -> inside n (pos (anchor f n p) n t.1).

Definition alike ci co C (f : operator ci co C) (n p q s : site) :=
  cls f n p = cls f n q /\ anchor f n q = anchor f n p + s.

(* a read of a row of f, as a read of a row that looks at it: d is its anchor from where k counts *)
Definition moved (k : read) (d : site) (r : read) : read :=
  [ffun i => if (r i).1 is None then ((k i).1, d i + (r i).2) else r i].
Definition apart (a n : site) (k : read) (b : site) : site := [ffun i => b i - origin (a i) (n i) (k i).1].

Lemma pos_moved a n k b r : pos a n (moved k (apart a n k b) r) = pos b n r.
Proof.
apply/ffunP => i; rewrite !ffunE; case E: (r i).1 => [e|] /=; first by rewrite E.
by rewrite addrA addrCA subrr addr0.
Qed.

Lemma apart_onto a n k b s : apart (a + s) n k (b + onto k s) = apart a n k b.
Proof.
apply/ffunP => i; rewrite !ffunE; case: (k i).1 => [[]|] /=; rewrite ?addr0 //.
by rewrite opprD addrACA subrr addr0.
Qed.

Lemma zip_self (S T : Type) (h : S -> T) s : zip s (map h s) = [seq (t, h t) | t <- s].
Proof. by elim: s => //= t s ->. Qed.

(* a convolution whose input is 0 outside: the class of an output is which of its taps lie inside *)
Section Layer.
Variables (ci co : nat) (kern : seq (site * 'M[K]_(co, ci))) (b : 'cV[K]_co).
Variables (out : site -> site) (first : site -> site).

Definition tap (o : site) : read := [ffun i => (None, o i)].

Definition layer : operator ci co [eqType of seq (site * 'M[K]_(co, ci))] := {|
  size := out;
  cls := fun n p => [seq t <- kern | inside n (first p + t.1)];
  anchor := fun=> first;
  taps := fun c => [seq (tap t.1, t.2) | t : site * 'M[K]_(co, ci) <- c];
  bias := fun=> b |}.

Lemma pos_layer a n (o : site) : pos a n (tap o) = a + o.
Proof. by apply/ffunP => i; rewrite !ffunE. Qed.

Theorem layer_correlates n x p :
  apply layer n x p = \sum_(t <- kern) t.2 *m (if inside n (first p + t.1) then x (first p + t.1) else 0) + b.
Proof.
rewrite /apply /= big_map big_filter [in RHS](bigID (fun t => inside n (first p + t.1))) /=.
rewrite [X in _ = _ + X + _]big1 ?addr0 => [|t /negbTE-> ]; last by rewrite mulmx0.
by congr (_ + _); apply: eq_bigr => t t_in; rewrite t_in pos_layer.
Qed.

Theorem layer_fits : fits layer.
Proof. by move=> n p _ t /mapP[u]; rewrite mem_filter => /andP[u_in _] -> /=; rewrite pos_layer. Qed.

End Layer.

(* first f, then g *)
Section Composition.
Variables (c0 c1 c2 : nat) (Cf Cg : eqType) (f : operator c0 c1 Cf) (g : operator c1 c2 Cg).
Variable a : site -> site -> site.

Definition mid (n p : site) (t : read * 'M[K]_(c2, c1)) : Cf * site :=
  let j := pos (anchor g (size f n) p) (size f n) t.1 in (cls f n j, apart (a n p) n t.1 (anchor f n j)).

Definition then_cls (n p : site) : Cg * seq (Cf * site) :=
  let c := cls g (size f n) p in (c, map (mid n p) (taps g c)).
Definition through (u : (read * 'M[K]_(c2, c1)) * (Cf * site)) :=
  [seq (moved u.1.1 u.2.2 t.1, u.1.2 *m t.2) | t <- taps f u.2.1].

Definition then_ : operator c0 c2 [eqType of Cg * seq (Cf * site)] := {|
  size := fun n => size g (size f n);
  cls := then_cls;
  anchor := a;
  taps := fun c => flatten (map through (zip (taps g c.1) c.2));
  bias := fun c => \sum_(u <- zip (taps g c.1) c.2) u.1.2 *m bias f u.2.1 + bias g c.1 |}.

(* the composition is the operator with these classes, in every size *)
Theorem closure n x p : apply then_ n x p = apply g (size f n) (apply f n x) p.
Proof.
rewrite /apply /= zip_self -map_comp big_flatten big_map big_map addrA -big_split /=.
congr (_ + _); apply: eq_bigr => t _.
rewrite mulmxDr mulmx_sumr big_map /=; congr (_ + _).
by apply: eq_bigr => u _; rewrite pos_moved mulmxA.
Qed.

(* which reads nothing outside of the image, if f and g do not *)
Theorem closure_fits : fits f -> fits g -> fits then_.
Proof.
move=> ff fg n p p_in t /flattenP[s]; rewrite zip_self -map_comp => /mapP[u u_in ->] /mapP[v v_in ->] /=.
by rewrite pos_moved; apply: ff v_in; apply: fg u_in.
Qed.

(* rows of g that are alike make alike rows, if the rows of f that they read are alike, moved as they are *)
Theorem closure_alike n p q s t : alike g (size f n) p q t -> a n q = a n p + s ->
  (forall u, u \in taps g (cls g (size f n) p) ->
     let j := pos (anchor g (size f n) p) (size f n) u.1 in alike f n j (j + onto u.1 t) (onto u.1 s)) ->
  alike then_ n p q s.
Proof.
move=> [cg ag] aq reads; split=> //=; rewrite /then_cls -cg; congr (_, _).
apply/eq_in_map => u /reads [cf af].
by rewrite /mid ag aq pos_onto -cf af apart_onto.
Qed.

End Composition.

(* the sum *)
Section Sum.
Variables (ci co : nat) (Cf Cg : eqType) (f : operator ci co Cf) (g : operator ci co Cg).

Definition here : read := [ffun=> (None, 0)].

Definition plus : operator ci co [eqType of Cf * Cg * site] := {|
  size := size f;
  cls := fun n p => (cls f n p, cls g n p, apart (anchor f n p) n here (anchor g n p));
  anchor := anchor f;
  taps := fun c => taps f c.1.1 ++ [seq (moved here c.2 t.1, t.2) | t <- taps g c.1.2];
  bias := fun c => bias f c.1.1 + bias g c.1.2 |}.

Theorem sum_closure n x p : apply plus n x p = apply f n x p + apply g n x p.
Proof.
rewrite /apply /= big_cat big_map /= addrACA; congr (_ + (_ + _)).
by apply: eq_bigr => t _; rewrite pos_moved.
Qed.

Theorem sum_fits : (forall n, size f n = size g n) -> fits f -> fits g -> fits plus.
Proof.
move=> same ff fg n p p_in t; rewrite mem_cat => /orP[|/mapP[u u_in ->]]; first exact: ff.
by rewrite pos_moved; apply: fg u_in; rewrite -same.
Qed.

Theorem sum_alike n p q s : alike f n p q s -> alike g n p q s -> alike plus n p q s.
Proof.
move=> [cf af] [cg ag]; split=> //=; rewrite cf cg af ag; congr (_, _).
have -> : anchor g n p + s = anchor g n p + onto here s.
  by congr (_ + _); apply/ffunP => i; rewrite !ffunE.
by rewrite apart_onto.
Qed.

End Sum.

Theorem alike_periods ci co C (f : operator ci co C) n p up down k :
  (forall l, (l < k)%N -> alike f n (p + up *+ l) (p + up *+ l.+1) down) ->
  alike f n p (p + up *+ k) (down *+ k).
Proof.
elim: k => [_|k IHk rows]; first by rewrite !mulr0n !addr0; split; rewrite ?addr0.
have [c1 a1] := IHk (fun l lk => rows l (ltn_trans lk (ltnSn k))); have [c2 a2] := rows k (ltnSn k).
by split; [rewrite c1 c2 | rewrite a2 a1 mulrSr addrA].
Qed.

Lemma onto_mul k s l : onto k (s *+ l) = onto k s *+ l.
Proof.
elim: l => [|l IHl]; first by rewrite !mulr0n; apply/ffunP => i; rewrite !ffunE; case: (k i).1.
by rewrite !mulrS -IHl; apply/ffunP => i; rewrite !ffunE; case: (k i).1 => //=; rewrite addr0.
Qed.

(* where f repeats itself every uf outputs, df inputs on, and g every ug and dg, the composition does so every kg ug
   outputs and kf df inputs, where kg dg = kf uf: along one axis kg = uf / gcd(uf, dg) and kf = dg / gcd(uf, dg) *)
Theorem closure_period c0 c1 c2 (Cf Cg : eqType) (f : operator c0 c1 Cf) (g : operator c1 c2 Cg) a n p
    uf df ug dg kf kg :
  let m := size f n in
  dg *+ kg = uf *+ kf ->
  (forall l, (l < kg)%N -> alike g m (p + ug *+ l) (p + ug *+ l.+1) dg) ->
  (forall u, u \in taps g (cls g m p) -> let j := pos (anchor g m p) m u.1 in
     forall l, (l < kf)%N ->
     alike f n (j + onto u.1 uf *+ l) (j + onto u.1 uf *+ l.+1) (onto u.1 df)) ->
  a n (p + ug *+ kg) = a n p + df *+ kf ->
  alike (then_ f g a) n p (p + ug *+ kg) (df *+ kf).
Proof.
move=> m common rows_g rows_f anchors; apply: (closure_alike (t := dg *+ kg)) => //; first exact: alike_periods.
by move=> u /rows_f rows j; rewrite common !onto_mul; apply: alike_periods.
Qed.

End Operators.

Print Assumptions layer_correlates.
Print Assumptions layer_fits.
Print Assumptions closure.
Print Assumptions closure_fits.
Print Assumptions closure_alike.
Print Assumptions sum_closure.
Print Assumptions sum_fits.
Print Assumptions sum_alike.
Print Assumptions alike_periods.
Print Assumptions closure_period.
